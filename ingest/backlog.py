"""What Kafka cannot take now: bounded, the newest version per candle. Pure.

The socket is always read, so while Kafka is away something has to give: superseded versions do, which loses nothing,
because each version holds the whole candle.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Final

from ingest.candle import Candle, Interval
from ingest.events import EventKind, FeedEvent
from ingest.marks import Mark
from ingest.revision import time_us_of

#: Candles that may wait; about 1 KiB each. A hundred pairs reach it after eight hours without Kafka.
MAX_CANDLES: Final = 50_000
#: Feed events that may wait.
MAX_EVENTS: Final = 5_000

CandleKey = tuple[str, int]
#: What has been seen of an exchange: up to which time of its clock, and of which pairs.
Seen = tuple[int, tuple[str, ...]]


@dataclass(slots=True, eq=False)
class CandleRecord:
    """One version of a candle on its way to Kafka, and the mark that waits for it."""

    candle: Candle
    series_key: str
    mark: Mark[Seen]
    acknowledged: bool = False

    @property
    def key(self) -> CandleKey:
        """Which candle this is a version of."""
        return self.series_key, self.candle.timestamp

    def supersede(self, older: "CandleRecord") -> None:
        """Answer for ``older`` from now on: its mark is reached once this newer version is acknowledged."""
        if older.mark.number < self.mark.number:
            self.mark, older.mark = older.mark, self.mark
        older.mark.resolve()


class CandleBacklog:
    """The newest waiting version of each candle, in the order the versions were made."""

    def __init__(self, limit: int = MAX_CANDLES) -> None:
        self._limit = limit
        self._records: OrderedDict[CandleKey, CandleRecord] = OrderedDict()
        self._sorted = True

    def __len__(self) -> int:
        return len(self._records)

    def put(self, record: CandleRecord) -> CandleRecord | None:
        """Add a version; return the one that has to be given up for it when the backlog is full.

        A version never replaces a newer one, so records that come back from a time-out are safe to add.
        """
        waiting = self._records.get(record.key)
        if waiting is not None and waiting.candle.rev >= record.candle.rev:
            waiting.supersede(record)
            return None
        if waiting is not None:
            record.supersede(waiting)
            del self._records[record.key]
        if self._records and _made_at(record) < _made_at(next(reversed(self._records.values()))):
            self._sorted = False
        self._records[record.key] = record
        return self._remove_first() if len(self._records) > self._limit else None

    def first(self) -> CandleRecord | None:
        """The waiting version that was made first."""
        if not self._sorted:
            self._records = OrderedDict(sorted(self._records.items(), key=lambda item: _made_at(item[1])))
            self._sorted = True
        return next(iter(self._records.values()), None)

    def remove(self, record: CandleRecord) -> None:
        """Forget a version that Kafka's client has taken."""
        del self._records[record.key]

    def names(self) -> list[str]:
        """Series and open time of each waiting candle."""
        return [f"{series}@{timestamp}" for series, timestamp in self._records]

    def _remove_first(self) -> CandleRecord:
        record = self.first()
        assert record is not None
        self.remove(record)
        return record


def _made_at(record: CandleRecord) -> int:
    return time_us_of(record.candle.rev)


@dataclass(slots=True, eq=False)
class EventRecord:
    """One feed event on its way to Kafka; beats carry no mark, since a newer one replaces them anyway."""

    event: FeedEvent
    mark: Mark[Seen] | None


class EventBacklog:
    """Waiting feed events in order; when there are too many, the oldest become one gap that covers them."""

    def __init__(self, limit: int = MAX_EVENTS) -> None:
        self._limit = limit
        self._records: deque[EventRecord] = deque()

    def __len__(self) -> int:
        return len(self._records)

    def put(self, record: EventRecord) -> None:
        """Add an event that has to be delivered."""
        self._records.append(record)
        if len(self._records) > self._limit:
            self._merge()

    def first(self) -> EventRecord | None:
        """The event that has waited longest."""
        return self._records[0] if self._records else None

    def remove_first(self) -> None:
        """Forget the event that Kafka's client has taken."""
        self._records.popleft()

    def _merge(self) -> None:
        """Replace all waiting events of the oldest one's exchange by one gap, if they bound any blindness."""
        exchange = self._records[0].event.exchange
        merged = [record for record in self._records if record.event.exchange == exchange]
        blind = [record.event for record in merged if blind_range(record.event) is not None]
        self._records = deque(record for record in self._records if record.event.exchange != exchange)
        oldest, *others = (record.mark for record in merged if record.mark is not None)
        for mark in others:
            mark.resolve()
        if blind:
            self._records.appendleft(EventRecord(merge_blindness(blind), oldest))
        else:
            oldest.resolve()


def blind_range(event: FeedEvent) -> tuple[int, int] | None:
    """The range of exchange time that an event says was not seen, None if it says no such thing."""
    if event.event is EventKind.GAP and event.gap_from is not None and event.gap_to is not None:
        return event.gap_from, event.gap_to
    if event.event is EventKind.LOST and event.series is not None and event.timestamp is not None:
        interval = Interval(event.series.split("|")[2])
        return event.timestamp, event.timestamp + interval.milliseconds
    return None


def merge_blindness(events: list[FeedEvent]) -> FeedEvent:
    """One gap that covers every gap and loss in ``events``, which are of one exchange and not empty."""
    ranges = [bounds for event in events if (bounds := blind_range(event)) is not None]
    pairs = {pair for event in events for pair in event.pairs}
    pairs |= {event.series.split("|")[1] for event in events if event.series is not None}
    newest = events[-1]
    return FeedEvent(
        exchange=newest.exchange,
        event=EventKind.GAP,
        feed=newest.feed,
        since=newest.since,
        at=newest.at,
        reason="many losses while Kafka was away",
        pairs=tuple(sorted(pairs)),
        gap_from=min(low for low, _ in ranges),
        gap_to=max(high for _, high in ranges),
    )
