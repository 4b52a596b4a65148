"""Computed candles in the store: what they are made of is read there, and none replaces one that somebody else wrote.

The writer makes the `rev` of a computed candle, above that of the version it read. It reads that version first, then
what the candle is made of, and writes under compare-and-set: if another writer was faster it reads and computes again.
So of two writers the last has seen at least what the other had, and a late one can never bring an older state back.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Final

from bson import ObjectId
from bson.int64 import Int64
from pymongo import UpdateOne
from pymongo.collection import Collection

from ingest.candle import Interval, Series
from ingest.revision import make_rev, rank_of, time_us_of
from workers.documents import Document, candle_of, document_id, document_of, id_range, series_hash
from workers.errors import StoreUnavailable
from workers.guarded_writes import GuardedWriter, refused_by_guard
from workers.rollup import LEVELS, Bucket, Part, Rolled, is_over, minutes_of, open_time, roll_up

#: At most so many candles at once: with what they are made of they fit into one answer of the store.
MAX_BUCKETS: Final = 250
#: Who loses this often competes with a writer that does nothing else.
_ATTEMPTS: Final = 20


class Outcome(StrEnum):
    """What became of a candle that was computed again."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    EMPTY = "empty"  # nothing is held that it could be made of
    KEPT = "kept"  # what is stored is surer: minutes that it was made of are no longer held


class Buckets:
    """Recomputes candles of `LEVELS`; every method raises `PyMongoError` if it is not known to be done."""

    def __init__(self, candles: Collection[Document], writer: GuardedWriter, now_us: Callable[[], int]) -> None:
        self._candles, self._writer, self._now_us = candles, writer, now_us

    def recompute(self, series: Series, opens: Sequence[int], newest_ms: int) -> Counter[Outcome]:
        """Make candles equal to what the level below says of them.

        Args:
            series: Of one of `LEVELS`.
            opens: Open times (Unix milliseconds), at most `MAX_BUCKETS`, close to each other.
            newest_ms: The newest open time of the series' minutes.

        Raises:
            StoreUnavailable: If others were faster again and again.
        """
        outcomes: Counter[Outcome] = Counter()
        left = list(opens)
        for _ in range(_ATTEMPTS):
            if not left:
                return outcomes
            stored = self._stored(series, left)
            rolled = self._rolled(series, left, newest_ms)
            writes: dict[int, UpdateOne] = {}
            for timestamp in left:
                outcome, write = self._decide(stored.get(timestamp), rolled.get(timestamp))
                if write is None:
                    outcomes[outcome] += 1
                else:
                    writes[timestamp] = write
            if writes:
                self._writer.write_series({series})
            left = self._write(writes)
            outcomes[Outcome.WRITTEN] += len(writes) - len(left)
        raise StoreUnavailable("recompute", f"others keep writing {len(left)} candles of {series.key}")

    def _stored(self, series: Series, opens: Sequence[int]) -> dict[int, Document]:
        head = series_hash(series)
        ids = [document_id(head, timestamp) for timestamp in opens]
        cursor = self._candles.find({"_id": {"$in": ids}}).batch_size(len(ids) + 1)
        return {int(document["timestamp"]): document for document in cursor}

    def _rolled(self, series: Series, opens: Sequence[int], newest_ms: int) -> dict[int, Rolled]:
        interval = series.interval
        below = series._replace(interval=LEVELS[interval])
        parts: dict[int, list[Part]] = {timestamp: [] for timestamp in opens}
        for part in self._parts(below, min(opens), max(opens) + interval.milliseconds):
            # Between the candles that are asked for may lie others.
            parts.get(open_time(part.candle.timestamp, interval), []).append(part)
        found = {}
        for timestamp, mine in parts.items():
            rolled = roll_up(
                Bucket(
                    interval,
                    timestamp,
                    mine,
                    is_over=is_over(interval, timestamp, mine, newest_ms),
                    is_complete=sum(part.minutes for part in mine) == minutes_of(interval),
                )
            )
            if rolled is not None:
                found[timestamp] = rolled
        return found

    def _parts(self, series: Series, since_ms: int, before_ms: int) -> list[Part]:
        ids = id_range(series, since_ms, before_ms - 1)
        if ids is None:
            return []
        cursor = self._candles.find({"_id": ids}).sort("_id", 1)
        return [Part(candle_of(series, each), held_minutes(series.interval, each)) for each in cursor]

    def _decide(self, stored: Document | None, rolled: Rolled | None) -> tuple[Outcome, UpdateOne | None]:
        if rolled is None:
            return Outcome.EMPTY if stored is None else Outcome.KEPT, None
        fields = document_of(rolled.candle) | {"minutes": Int64(rolled.minutes)}
        key: ObjectId = fields.pop("_id")
        before = -1 if stored is None else int(stored["rev"])
        if stored is not None and all(stored.get(name) == value for name, value in fields.items() if name != "rev"):
            return Outcome.UNCHANGED, None
        rank = rolled.candle.state.rank
        if stored is not None and rank_of(before) > rank:
            return Outcome.KEPT, None
        unix_us = self._now_us() if stored is None else max(time_us_of(before) + 1, self._now_us())
        fields["rev"] = Int64(make_rev(rank, unix_us))
        return Outcome.WRITTEN, UpdateOne({"_id": key, "rev": Int64(before)}, {"$set": fields}, upsert=True)

    def _write(self, writes: Mapping[int, UpdateOne]) -> list[int]:
        """Write under compare-and-set; returns the open times of those that others were faster with."""
        if not writes:
            return []
        times = sorted(writes)
        # Whose version is no longer the one read would be inserted, and is there already.
        return sorted(times[place] for place in refused_by_guard(self._candles, [writes[each] for each in times]))


def held_minutes(interval: Interval, document: Mapping[str, object]) -> int:
    """How many of its minutes a stored candle is made of."""
    return 1 if interval is Interval.M1 else int(str(document["minutes"]))
