"""Noticing a consumer that gets nothing any more while Kafka holds more for it.

librdkafka has states in which a partition is assigned, its broker answers, and no record ever comes; no error is
raised. Only somebody who asks Kafka how far a partition goes can tell that from a market that is quiet.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from confluent_kafka import KafkaException

from workers.kafka_view import Bounds, KafkaView, Place

#: Between an answer of Kafka's and the next question.
LOOK_SECONDS: Final = 2.0
#: So many looks in a row must find a partition where it was; more than one, because the process itself may have been
#: stopped for long. Where other partitions move this one may just be waiting for its turn.
LOOKS: Final = 4
LOOKS_AMONG_MOVING: Final = 30
#: A fresh consumer that gets nothing either is not replaced as soon: so many times, doubled each time.
MOST_PATIENCE: Final = 32
#: So many fresh consumers that stood where the one before did, with nothing new behind it, show that nothing is there.
MOST_IN_VAIN: Final = 2
_REMEMBERED: Final = 100


class _Standing(NamedTuple):
    """A partition that stands at an offset although there is more, and in how many looks it stood there."""

    offset: int
    end: int
    looks: int


@dataclass
class Stall:
    """Compares how far reading is with how far Kafka goes, one look after the other."""

    _standing: dict[Place, _Standing] = field(default_factory=dict)
    _looks_without_a_move: int = 0
    _looks_without_any_standing: int = 0
    _positions: Mapping[Place, int] = field(default_factory=dict)
    _patience: int = 1
    #: Where the consumer before this one stood.
    _replaced_at: dict[Place, int] = field(default_factory=dict)
    #: Partition, offset and end, and how many fresh consumers did not get from the one to the other.
    _in_vain: Counter[tuple[Place, int, int]] = field(default_factory=Counter)

    def look(self, positions: Mapping[Place, int], bounds: Bounds) -> list[Place]:
        """Take one look, and return the partitions that are stalled.

        Args:
            positions: The next offset to read, of each partition that is being read.
            bounds: The first offset and the end of partitions, asked for before the positions were taken.
        """
        has_moved = any(self._positions.get(place, offset) < offset for place, offset in positions.items())
        self._looks_without_a_move = 0 if has_moved else self._looks_without_a_move + 1
        self._positions = dict(positions)
        self._standing = dict(self._stand(positions, bounds))
        self._looks_without_any_standing = 0 if self._standing else self._looks_without_any_standing + 1
        got_on = any(positions.get(place, offset) > offset for place, offset in self._replaced_at.items())
        if got_on or self._looks_without_any_standing >= LOOKS:
            self._patience, self._replaced_at = 1, {}
        return [place for place, standing in self._standing.items() if standing.looks >= self._needed()]

    def _stand(self, positions: Mapping[Place, int], bounds: Bounds) -> Iterator[tuple[Place, _Standing]]:
        for place, offset in positions.items():
            first, end = bounds.get(place, (0, 0))
            # What lies before the end may be no record of ours, such as the mark of a transaction.
            if max(first, offset) < end and self._in_vain[place, offset, end] < MOST_IN_VAIN:
                before = self._standing.get(place)
                looks = before.looks if before is not None and before.offset == offset else 0
                yield place, _Standing(offset, end, looks + 1)

    def replaced(self) -> None:
        """The consumer is a fresh one: it is given time, and longer if the last one was replaced at the same place."""
        if len(self._in_vain) > _REMEMBERED:
            self._in_vain.clear()
        self._in_vain.update((place, each.offset, each.end) for place, each in self._standing.items())
        self._replaced_at = {place: each.offset for place, each in self._standing.items()}
        self._patience = min(2 * self._patience, MOST_PATIENCE)
        self.forget()

    def forget(self) -> None:
        """Nothing is known of the time since the last look."""
        self._standing, self._positions, self._looks_without_a_move = {}, {}, 0

    def _needed(self) -> int:
        nothing_moves = self._looks_without_a_move >= LOOKS * self._patience
        return (LOOKS if nothing_moves else LOOKS_AMONG_MOVING) * self._patience


class StallWatch:
    """Asks Kafka every few seconds, beside the main loop, and judges the answers."""

    def __init__(self, kafka_brokers: str, background: Executor, monotonic: Callable[[], float]) -> None:
        """``background`` waits for Kafka's answers; ``monotonic`` gives seconds."""
        self._kafka_brokers, self._background, self._monotonic = kafka_brokers, background, monotonic
        self._stall = Stall()
        self._kafka: KafkaView | None = None
        self._asking: Future[Bounds | None] | None = None
        self._due_at = monotonic() + LOOK_SECONDS

    def stalled(self, positions: Mapping[Place, int]) -> list[Place]:
        """The partitions that get nothing although Kafka holds more; called often, never waits.

        Args:
            positions: The next offset to read, of each partition that is being read now.
        """
        if not positions:
            self._stall.forget()
            return []
        if self._asking is None:
            if self._monotonic() >= self._due_at:
                self._asking = self._background.submit(self._ask, frozenset(positions))
            return []
        if not self._asking.done():
            return []
        asking, self._asking = self._asking, None
        self._due_at = self._monotonic() + LOOK_SECONDS
        bounds = asking.result()
        if bounds is None:
            self._stall.forget()  # Kafka is away: no wonder that nothing comes
            return []
        return self._stall.look(positions, bounds)

    def replaced(self, *, stalled: bool) -> None:
        """The consumer is a fresh one, because the last one was ``stalled`` or for another reason."""
        self._due_at = self._monotonic() + LOOK_SECONDS
        if stalled:
            self._stall.replaced()
        else:
            self._stall.forget()

    def _ask(self, places: Collection[Place]) -> Bounds | None:
        kafka, self._kafka = self._kafka, None
        try:
            kafka = kafka or KafkaView(self._kafka_brokers, valid_seconds=0.0)
        except KafkaException:
            return None
        kafka.ask(places)
        # One that got no answer may be in the same trouble as the consumer.
        if kafka.bounds is not None and kafka.bounds.keys() >= set(places):
            self._kafka = kafka
        return kafka.bounds
