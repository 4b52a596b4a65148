"""Computed candles in the store: what they are made of is read there, and none replaces one that somebody else wrote.

Of each candle the stored version is read first, then what it is made of, and it is written under compare-and-set: if
another writer was faster, both are read again. So of two writers the last has seen at least what the other had, and a
late one can never bring an older state back.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Final

import pymongo
from bson import ObjectId
from bson.int64 import Int64
from pymongo import UpdateOne

from ingest.candle import Candle, Series
from workers.documents import (
    Document,
    DocumentCollection,
    candle_or_none,
    document_id,
    document_of,
    id_range,
    series_hash,
)
from workers.edges import find_edges
from workers.errors import StoreUnavailable
from workers.guarded_writes import GuardedWriter, refused_by_guard
from workers.rollup import LEVELS, Bucket, bucket_of, is_usable, recomputed

#: At most so many candles at once: with what they are made of they fit into one answer of the store.
MAX_BUCKETS: Final = 250
#: Who loses this often competes with a writer that does nothing else.
_ATTEMPTS: Final = 20

_hash_of = lru_cache(maxsize=50_000)(series_hash)


class Outcome(StrEnum):
    """What became of a candle that was computed again."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"  # or surer than what can be computed: minutes that it was made of are no longer held
    EMPTY = "empty"  # nothing is held that it could be made of


class Newest:
    """What one task knows of the newest open time of each series of minutes (Unix milliseconds)."""

    def __init__(self) -> None:
        self._known: dict[Series, int] = {}
        self._asked: set[Series] = set()

    def of(self, bucket: Bucket) -> int:
        """That of the minutes below a candle; -1 if nothing is known."""
        return self._known.get(bucket.minutes, -1)

    def learn(self, minutes: Series, timestamp: int) -> None:
        """There is a minute that opens then."""
        self._known[minutes] = max(timestamp, self._known.get(minutes, -1))

    def to_ask(self, buckets: Iterable[Bucket]) -> list[Series]:
        """The series to ask for, each once: of candles that may be over without their own minutes showing it."""
        wanted = {bucket.minutes for bucket in buckets if self.of(bucket) < bucket.end} - self._asked
        self._asked |= wanted
        return sorted(wanted)


class Buckets:
    """Recomputes candles of `LEVELS`; every method raises `PyMongoError` if it is not known to be done."""

    def __init__(self, candles: DocumentCollection, writer: GuardedWriter) -> None:
        self._candles, self._writer = candles, writer

    def recompute(self, buckets: Sequence[Bucket], newest: Newest) -> Counter[Outcome]:
        """Make candles equal to what the level below says of them, and close those before new ones.

        Args:
            buckets: Which, at most `MAX_BUCKETS`, each once.
            newest: What is known of their series; what is found is added.

        Raises:
            StoreUnavailable: If others were faster again and again.
        """
        outcomes: Counter[Outcome] = Counter()
        left = list(buckets)
        attempts = 0
        while left:
            if attempts == _ATTEMPTS:
                raise StoreUnavailable(
                    "recompute", f"others keep writing {len(left)} candles, {left[0].series.key} for one"
                )
            attempts += 1
            stored, damaged = self._read(left)
            # Nothing is known of their rev, so nothing can be written over them; they must not hold up all others.
            left = [bucket for bucket in left if bucket not in damaged]
            self._learn(newest, newest.to_ask(bucket for bucket in left if bucket not in stored))
            versions = self._versions(left, stored, newest, outcomes)
            # Before they are written: once a candle is there nobody looks at what came before it any more.
            outcomes += self._close_before([bucket for bucket in versions if bucket not in stored], newest)
            left = self._write(versions, stored)
            outcomes[Outcome.WRITTEN] += len(versions) - len(left)
            made = {bucket: versions[bucket] for bucket in versions.keys() - stored.keys() - set(left)}
            # One that stands as it is may have been left open by a writer that died before it could look.
            standing = {
                bucket: candle
                for bucket, candle in stored.items()
                if bucket not in versions and newest.of(bucket) < bucket.end
            }
            outcomes += self._close_overtaken(made | standing, newest)
        return outcomes

    def _versions(
        self,
        buckets: Sequence[Bucket],
        stored: Mapping[Bucket, Candle],
        newest: Newest,
        outcomes: Counter[Outcome],
    ) -> dict[Bucket, Candle]:
        """What has to be written; the others are counted."""
        found = {}
        parts = self._parts(buckets)
        for bucket in buckets:
            held = stored.get(bucket)
            version = recomputed(bucket, parts[bucket], held, newest.of(bucket))
            if version is None:
                outcomes[Outcome.UNCHANGED if parts[bucket] or held else Outcome.EMPTY] += 1
            else:
                found[bucket] = version
        return found

    def _close_before(self, new: Sequence[Bucket], newest: Newest) -> Counter[Outcome]:
        """Close candles that were left open and lie before new ones: their own last minute never came."""
        before = {
            bucket: Bucket(bucket.series, bucket.timestamp - bucket.series.interval.milliseconds) for bucket in new
        }
        # One that is new itself will be closed by what is known of its series.
        before = {bucket: direct for bucket, direct in before.items() if direct not in before}
        stored, _ = self._read(before.values())
        left_open = []
        for bucket, direct in before.items():
            held = stored.get(direct) or self._last_before(direct)
            if held is not None and not held.state.is_closed:
                left_open.append(Bucket(bucket.series, held.timestamp))
                newest.learn(bucket.minutes, bucket.timestamp)
        return self.recompute(sorted(set(left_open)), newest)

    def _close_overtaken(self, made: Mapping[Bucket, Candle], newest: Newest) -> Counter[Outcome]:
        """Close those of these candles after which another writer made one while these were not there yet.

        It looked for them in vain; whatever it looked after was written before, so whoever asks now finds it.
        """
        running = [bucket for bucket, candle in made.items() if not candle.state.is_closed]
        self._learn(newest, sorted({bucket.minutes for bucket in running}))
        return self.recompute(sorted(bucket for bucket in running if newest.of(bucket) >= bucket.end), newest)

    def _learn(self, newest: Newest, all_minutes: Sequence[Series]) -> None:
        for minutes, timestamp in find_edges(self._candles, all_minutes, newest=True).items():
            newest.learn(minutes, timestamp)

    def _last_before(self, bucket: Bucket) -> Candle | None:
        ids = id_range(bucket.series, None, bucket.timestamp - 1)
        if ids is None:
            return None
        cursor = self._candles.find({"_id": ids}).sort("_id", pymongo.DESCENDING).limit(1)
        return next((candle_or_none(document) for document in cursor), None)

    def _read(self, buckets: Collection[Bucket]) -> tuple[dict[Bucket, Candle], set[Bucket]]:
        """What is stored, and what is stored and no candle."""
        ids = {_id_of(bucket.series, bucket.timestamp): bucket for bucket in buckets}
        found = {ids[each["_id"]]: candle_or_none(each) for each in self._find(ids)}
        damaged = {bucket for bucket, candle in found.items() if candle is None}
        return {bucket: candle for bucket, candle in found.items() if candle is not None}, damaged

    def _parts(self, buckets: Sequence[Bucket]) -> dict[Bucket, list[Candle]]:
        found: dict[Bucket, list[Candle]] = {bucket: [] for bucket in buckets}
        ids = {_id_of(bucket.below, time): (bucket, time) for bucket in buckets for time in bucket.part_times}
        for document in self._find(ids):
            (bucket, opens), part = ids[document["_id"]], candle_or_none(document)
            if is_usable(part, bucket.below, opens):
                found[bucket].append(part)
        return found

    def _find(self, ids: Iterable[ObjectId]) -> Iterator[Document]:
        wanted = list(ids)
        # With a first batch as large as the answer it takes one round trip rather than two.
        return iter(self._candles.find({"_id": {"$in": wanted}}).batch_size(len(wanted) + 1) if wanted else ())

    def _write(self, versions: Mapping[Bucket, Candle], stored: Mapping[Bucket, Candle]) -> list[Bucket]:
        """Write under compare-and-set; returns those that others were faster with."""
        if not versions:
            return []
        self._writer.write_series({bucket.series for bucket in versions})
        writes: dict[ObjectId, Bucket] = {}
        updates: dict[ObjectId, UpdateOne] = {}
        for bucket, version in versions.items():
            fields = document_of(version)
            key: ObjectId = fields.pop("_id")
            before = stored[bucket].rev if bucket in stored else -1
            writes[key] = bucket
            # Whose version is no longer the one read would be inserted, and is there already.
            updates[key] = UpdateOne({"_id": key, "rev": Int64(before)}, {"$set": fields}, upsert=True)
        order = sorted(writes)
        return [writes[order[place]] for place in refused_by_guard(self._candles, [updates[key] for key in order])]


def _id_of(series: Series, timestamp: int) -> ObjectId:
    return document_id(_hash_of(series), timestamp)


def levels_of(minutes: Iterable[tuple[Series, int]]) -> Iterator[list[Bucket]]:
    """All larger candles that minutes belong to, in parts of at most `MAX_BUCKETS`, in the order to compute them.

    Args:
        minutes: Series of minutes, and open times in them (Unix milliseconds).
    """
    some = list(minutes)
    for interval in LEVELS:
        level = sorted({bucket_of(series, interval, time) for series, time in some})
        yield from (level[start : start + MAX_BUCKETS] for start in range(0, len(level), MAX_BUCKETS))
