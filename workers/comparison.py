"""What Kafka holds against what the store holds: the proof that no accepted candle was lost or moved back.

The records are folded to the newest version of each candle (`workers.fold`), and the store must hold that version or
a newer one. What differs is looked at again until the bridge had its time, and then once more in full, record by
record. Nothing is written anywhere.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from typing import Final

from bson import ObjectId

from ingest.candle import Candle, Interval
from ingest.codec import decode_candle
from ingest.errors import DecodeError
from ingest.topics import CANDLES, DEAD_LETTERS
from workers.differences import Difference, Findings, Kind, Version, compare_versions
from workers.errors import StoreUnavailable
from workers.fold import Fold, Unreadable, contents, key_of, number_of, rev_of
from workers.letter_index import LetterIndex
from workers.store import CandleStore
from workers.topic_reader import Bounds, TopicReader

#: So many candles, at about 200 bytes each, are folded before they are compared and forgotten.
MAX_CANDLES: Final = 1_000_000
#: So many ids are asked for at once.
CHUNK: Final = 1000
#: The pause between two looks at what differs.
RECHECK_SECONDS: Final = 0.5

#: So many different versions under one rev, which only two writers at once can make, are kept of a candle.
MAX_TIES: Final = 16

#: Shows progress: takes what is being done and its total, yields a function that takes how many more are done.
Watch = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


class Comparison:
    """Compares a topic of candles with a store, once."""

    def __init__(
        self,
        reader: TopicReader,
        store: CandleStore,
        watch: Watch,
        *,
        topic: str = CANDLES,
        letters_topic: str = DEAD_LETTERS,
        since_ms: int | None = None,
        wait_seconds: float = 10.0,
        limit: int = 1000,
        max_candles: int = MAX_CANDLES,
    ) -> None:
        """A comparison that `run` carries out.

        Args:
            reader: Kafka.
            store: The store.
            watch: Shows progress.
            topic: The candles.
            letters_topic: Their dead letters.
            since_ms: Read records from this time on (Unix milliseconds); None: all that Kafka has.
            wait_seconds: How long something may differ before it is a difference: the bridge's time.
            limit: So many differences are looked at in full and named; the others are counted as they first looked.
            max_candles: So many candles are held in memory at once.
        """
        self._reader, self._store, self._watch = reader, store, watch
        self._topic, self._letters_topic, self._since_ms = topic, letters_topic, since_ms
        self._wait_seconds, self._limit, self._max_candles = wait_seconds, limit, max_candles
        self._findings = Findings()

    def run(self) -> Findings:
        """Compare what Kafka holds at this moment; safe beside live traffic.

        Raises:
            KafkaUnavailable: If Kafka does not answer.
            TopicMissing: If there is no such topic.
            TooManyLetters: If there are more dead letters than fit in memory.
            StoreUnavailable: If the store does not answer.
        """
        self._bounds: Bounds = self._reader.bounds(self._topic, self._since_ms)
        self._letters = LetterIndex(self._reader, self._bounds, topic=self._topic, letters_topic=self._letters_topic)
        self._letters.update()
        rounds = 0
        for fold in self._folds():
            rounds += 1
            self._findings.candles += len(fold.newest)
            self._findings.dead_letters += fold.left_out
            self._check(fold)
        if rounds == 1:  # else a candle may have been counted in several
            self._findings.only_in_store = self._count_only_in_store()
        self._findings.sort()
        return self._findings

    def _folds(self) -> Iterator[Fold]:
        """Folds of successive parts of the topic, nearly always one.

        Comparing each part for itself is no weaker: a store that has at least the newest version of every part has at
        least the newest of all.
        """
        left = sum(stop - start for start, stop in self._bounds.values())
        with closing(self._reader.read(self._topic, self._bounds)) as batches:
            ended = False
            while not ended:
                fold = Fold()
                ended = True
                with self._watch("reading candles", left) as advance:
                    for messages in batches:
                        fold.add(messages, self._letters)
                        self._findings.records += len(messages)
                        left -= len(messages)
                        advance(len(messages))
                        if len(fold) >= self._max_candles:
                            ended = False
                            break
                yield fold

    def _count_only_in_store(self) -> int | None:
        try:
            held = self._findings.candles - self._findings.counts[Kind.MISSING]
            return max(0, self._store.count(Interval.M1) - held)
        except StoreUnavailable:  # counting a very large store may take too long, and is only an aside
            return None

    # -- comparing ----------------------------------------------------------------------------------------------------

    def _check(self, fold: Fold) -> None:
        with self._watch("comparing candles", len(fold.newest)) as advance:
            suspects = self._suspects(fold.newest, fold.newest, advance)
        deadline = time.monotonic() + self._wait_seconds
        unreadable: Mapping[tuple[int, int], Unreadable] = fold.unreadable
        while (suspects or unreadable) and (left := deadline - time.monotonic()) > 0:
            # Asking for many costs the store, which has other things to do meanwhile.
            time.sleep(min(left, max(RECHECK_SECONDS, len(suspects) / 10_000)))
            unreadable = self._still_unreadable(unreadable)
            suspects = self._suspects(fold.newest, suspects)
        for (partition, offset), record in sorted(self._still_unreadable(unreadable).items()):
            self._name(Difference(Kind.UNREADABLE, partition, offset, None, None, record.reason, ""))
        self._resolve(suspects)

    def _suspects(
        self, newest: Mapping[bytes, int], keys: Collection[bytes], advance: Callable[[int], None] = lambda count: None
    ) -> dict[bytes, Kind]:
        """Those of the candles that the store does not have in this version or a newer one."""
        suspects: dict[bytes, Kind] = {}
        for chunk in _chunks(sorted(keys)):
            stored = self._stored(chunk)
            for key in chunk:
                kind = self._judge(newest[key], stored[key]) if key in stored else Kind.MISSING
                if kind is not None:
                    suspects[key] = kind
            advance(len(chunk))
        return suspects

    def _judge(self, expected: int, stored: Candle | None) -> Kind | None:
        if stored is None:
            return Kind.ALTERED
        held = number_of(stored)
        if rev_of(held) > rev_of(expected):
            self._findings.newer += 1
            return None
        if held == expected:
            return None
        return Kind.ALTERED if rev_of(held) == rev_of(expected) else Kind.OLDER

    def _stored(self, keys: Collection[bytes]) -> dict[bytes, Candle | None]:
        found = self._store.read_many([ObjectId(key) for key in keys])
        return {id_.binary: candle for id_, candle in found.items()}

    def _still_unreadable(self, records: Mapping[tuple[int, int], Unreadable]) -> dict[tuple[int, int], Unreadable]:
        if not records:
            return {}
        before = len(records)
        self._letters.update()
        left = {
            place: record for place, record in records.items() if not self._letters.covers(*place, record.fingerprint)
        }
        self._findings.dead_letters += before - len(left)
        return left

    # -- naming -------------------------------------------------------------------------------------------------------

    def _name(self, difference: Difference) -> None:
        self._findings.name(difference, self._limit)

    def _resolve(self, suspects: Mapping[bytes, Kind]) -> None:
        """Look at what still differs in full, as far as the limit allows."""
        keys = sorted(suspects)
        examined = keys[: max(0, self._limit - len(self._findings.differences))]
        self._findings.counts.update(suspects[key] for key in keys[len(examined) :])
        versions = self._versions(examined)
        for chunk in _chunks(examined):
            stored = self._stored(chunk)
            for key in chunk:
                found = versions.get(key)
                if found is None:
                    reason = "its record left Kafka while it was looked at"
                    self._name(Difference(suspects[key], None, None, None, stored.get(key), reason, key.hex()))
                elif found:  # else all its records have become dead letters meanwhile
                    difference = compare_versions(key.hex(), found, key in stored, stored.get(key))
                    if difference is not None:
                        self._name(difference)

    def _versions(self, keys: Collection[bytes]) -> dict[bytes, list[Version]]:
        """The records with the highest rev of each of these candles, dead letters apart."""
        if not keys:
            return {}
        self._letters.update()
        found: dict[bytes, list[Version]] = {}
        wanted = set(keys)
        total = sum(stop - start for start, stop in self._bounds.values())
        with self._watch(f"looking again at {len(keys)} candles", total) as advance:
            for messages in self._reader.read(self._topic, self._bounds):
                for message in messages:
                    partition, offset, value = contents(message)
                    try:
                        candle = decode_candle(value or b"")
                    except DecodeError:
                        continue
                    key = key_of(candle)
                    if key in wanted:
                        versions = found.setdefault(key, [])
                        if not self._letters.has(partition, offset, value):
                            _keep_newest(versions, Version(partition, offset, candle))
                advance(len(messages))
        return found


def _keep_newest(versions: list[Version], version: Version) -> None:
    if versions and version.candle.rev > versions[0].candle.rev:
        versions.clear()
    # Of equal versions the first is kept, however often it was repeated.
    rivals = len(versions) < MAX_TIES and all(version.candle != each.candle for each in versions)
    if not versions or (rivals and version.candle.rev == versions[0].candle.rev):
        versions.append(version)


def _chunks(keys: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    return (keys[start : start + CHUNK] for start in range(0, len(keys), CHUNK))
