"""How far each group has committed, about once a second, and whether everything below really took effect.

The commit is read first and the store afterwards: what is below a commit must have taken effect before it was made, so
a row that has none when it is looked for later is a row that was passed. Each row is looked for once, when a commit
has newly passed it.
"""

import time
from collections.abc import Callable
from typing import Final

from confluent_kafka import KafkaException, TopicPartition
from pymongo.errors import PyMongoError

from ingest.kafka import committed_offsets, make_admin
from ingest.topics import CANDLES, DEAD_LETTERS
from tests.chaos.evidence import CandleKey, CommitSample, Record
from tests.chaos.taps.kafka import KafkaTap, Place, describe
from tests.chaos.taps.store import StoreReader
from tests.chaos.taps.tap import Tap
from tests.chaos.versions import DeadPlaces, parse_version

PERSIST: Final = "crypto-streams-persist"
GROUPS: Final = (PERSIST, "crypto-streams-fanout")
_ANSWER_SECONDS: Final = 2.0
#: A bridge commits each second, and so long after a restore still what the store had taken before.
_LATE_COMMIT_SECONDS: Final = 3.0


class CommitSampler(Tap):
    """Samples every group's commits of `candles`; judges those of the group that persists."""

    pause_seconds = 0.8

    def __init__(self, brokers: str, mongo_uri: str, tap: KafkaTap, life: Callable[[], int]) -> None:
        """``life`` says how often the store has been replaced by an older copy."""
        super().__init__()
        self._life, self._last_life, self._doubted_until = life, 0, 0.0
        self._brokers, self._admin = brokers, make_admin(brokers)
        self._store, self._tap = StoreReader(mongo_uri), tap
        self.samples: list[CommitSample] = []
        #: When each look was taken that could judge every partition committed so far.
        self.judged: list[float] = []
        #: How many records of each partition were below an earlier commit.
        self._looked_for: dict[Place, int] = {}
        #: The last commit of each partition, whichever topic had the name then.
        self._committed: dict[int, tuple[str, int]] = {}
        self._watermarks: dict[str, int] = {}
        #: A store that was replaced by an older copy lacks what was done before, and the bridge reads that again: until
        #: the store's watermarks have reached what was committed then, commits prove nothing.
        self._owed: dict[str, int] = {}

    def look(self) -> None:
        """Take one sample of each partition."""
        try:
            incarnation, partitions = describe(self._admin, CANDLES)
            places = [TopicPartition(CANDLES, each) for each in sorted(partitions)]
            commits = {group: committed_offsets(self._brokers, group, places, _ANSWER_SECONDS) for group in GROUPS}
            if describe(self._admin, CANDLES)[0] != incarnation:
                return
        except KafkaException:
            return
        at = time.time()
        for group, by_place in commits.items():
            by_partition = {partition: offset for (_, partition), offset in by_place.items()}
            judged = self._judge(incarnation, by_partition) if group == PERSIST else {}
            if group == PERSIST and judged and judged.keys() == by_partition.keys():
                self.judged.append(at)
            self.samples += [
                CommitSample(at, group, CANDLES, incarnation, partition, committed, judged.get(partition))
                for partition, committed in by_partition.items()
            ]

    def close(self) -> None:
        """Close the connections."""
        self._store.close()

    def _judge(self, incarnation: str, commits: dict[int, int]) -> dict[int, int]:
        """By partition that could be looked at: the first offset without effect, the commit itself if all is well."""
        passed = {
            partition: rows
            for partition, committed in commits.items()
            if self._is_of(incarnation, partition, committed)
            and (rows := self._newly_passed((incarnation, partition), committed)) is not None
        }
        try:
            marks = {f"{PERSIST}:{CANDLES}:{incarnation}:{each}": offset for each, offset in commits.items()}
            unapplied = self._without_effect([row for rows in passed.values() for row in rows], marks)
        except (PyMongoError, KafkaException):
            return {}
        first = dict(commits)
        for row in unapplied or ():
            first[row.partition] = min(first[row.partition], row.offset)
        for partition, rows in passed.items():
            place = (incarnation, partition)
            self._looked_for[place] = self._looked_for.get(place, 0) + len(rows)
        return {} if unapplied is None else {partition: first[partition] for partition in passed}

    def _is_of(self, incarnation: str, partition: int, committed: int) -> bool:
        """Whether a commit is of this topic, and not left over from one of the same name that is gone."""
        before = self._committed.setdefault(partition, (incarnation, committed))
        if before[0] != incarnation and before[1] == committed:
            return False
        self._committed[partition] = (incarnation, committed)
        return True

    def _newly_passed(self, place: Place, committed: int) -> list[Record] | None:
        """The rows that the commit passed since the last look; None if we have not read that far ourselves."""
        if not self._tap.wait_read(CANDLES, place, committed, _ANSWER_SECONDS):
            return None
        rows = self._tap.records_at(CANDLES, place)
        begin = self._looked_for.get(place, 0)
        end = begin
        while end < len(rows) and rows[end].offset < committed:
            end += 1
        return rows[begin:end]

    def _without_effect(self, rows: list[Record], marks: dict[str, int]) -> list[Record] | None:
        """Those rows that are neither stored, in this version or a newer one, nor among the dead letters.

        None if that says nothing, because the store is an older copy. ``marks``: the commits, as the store names them.
        """
        if not self._tap.wait_read_all([DEAD_LETTERS], _ANSWER_SECONDS):
            return None
        dead = DeadPlaces(self._tap.records(DEAD_LETTERS))
        known = self._same_store(marks)
        revs: dict[int, tuple[CandleKey, int]] = {}
        unapplied = []
        for number, row in enumerate(rows):
            if dead.hold(row):
                continue
            version = parse_version(row)
            if version is None:
                unapplied.append(row)
            else:
                revs[number] = (version.key, version.rev)
        stored = self._store.revs({key for key, _ in revs.values()})
        unapplied += [rows[number] for number, (key, rev) in revs.items() if stored.get(key, -1) < rev]
        # Asked once more: it may have been replaced between the two.
        return unapplied if self._same_store(marks) and known else None

    def _same_store(self, marks: dict[str, int]) -> bool:
        """Whether the store holds, or has got again, what it held before."""
        life = self._life()
        if life != self._last_life:
            self._last_life, self._doubted_until = life, time.monotonic() + _LATE_COMMIT_SECONDS
        found = {key: offset for key, offset in self._store.watermarks().items() if key in marks}
        is_doubted = time.monotonic() < self._doubted_until
        if is_doubted or any(found.get(key, -1) < offset for key, offset in self._watermarks.items() if key in marks):
            self._owed = marks
        self._owed = {key: offset for key, offset in self._owed.items() if key in marks and found.get(key, -1) < offset}
        self._watermarks = found
        return not self._owed
