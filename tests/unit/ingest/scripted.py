"""A Kafka client and an exchange that do what a test says, and nothing else."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message

from ingest.candle import Candle, Interval
from ingest.codec import decode_candle, decode_event
from ingest.events import EventKind, FeedEvent
from ingest.exchanges.base import CandleUpdate, Event, KeepAlive
from ingest.topics import CANDLES, FEEDS
from tests.conftest import minute


@dataclass
class Produced:
    """One record that the scripted client took."""

    topic: str
    value: bytes
    key: bytes
    headers: list[tuple[str, Any]] | None
    on_delivery: Callable[[KafkaError | None, Message], None]


@dataclass
class ScriptedKafka:
    """Takes up to ``room`` records at once, and reports their delivery when a test says so."""

    room: int = 1000
    raises: KafkaException | None = None
    queued: list[Produced] = field(default_factory=list)
    log: list[Produced] = field(default_factory=list)

    def produce(
        self,
        topic: str,
        value: bytes,
        key: bytes,
        *,
        headers: list[tuple[str, str | bytes | None]] | None = None,
        on_delivery: Callable[[KafkaError | None, Message], None],
    ) -> None:
        if self.raises is not None:
            raise self.raises
        if len(self.queued) >= self.room:
            raise BufferError("Local: Queue full")
        self.queued.append(Produced(topic, value, key, headers, on_delivery))

    def report(self, error: KafkaError | None = None, position: int = 0) -> Produced:
        """Report one queued record as delivered, or as failed."""
        record = self.queued.pop(position)
        if error is None:
            self.log.append(record)
        record.on_delivery(error, Message())
        return record

    def report_all(self, error: KafkaError | None = None) -> None:
        """The same for everything that is queued now."""
        for _ in range(len(self.queued)):
            self.report(error)

    def poll(self, timeout: float) -> int:
        return 0

    def flush(self, timeout: float) -> int:
        return len(self.queued)

    def purge(self) -> None:
        self.report_all(KafkaError(KafkaError._PURGE_QUEUE))

    def __len__(self) -> int:
        return len(self.queued)

    def candles(self) -> list[Candle]:
        """What consumers of ``candles`` read."""
        return [decode_candle(record.value) for record in self.log if record.topic == CANDLES]

    def events(self) -> list[FeedEvent]:
        """What consumers of ``feeds`` read."""
        return [decode_event(record.value) for record in self.log if record.topic == FEEDS]

    def told(self, kind: EventKind) -> list[FeedEvent]:
        """The events of one kind."""
        return [event for event in self.events() if event.event is kind]


@dataclass
class ScriptedAdapter:
    """An exchange whose frames mean what a test says: ``{"<frame>": [events]}``; other frames mean nothing."""

    meanings: dict[str, list[Event]] = field(default_factory=dict)
    url: str = "ws://127.0.0.1:1"
    origin: str | None = None
    silence_seconds: float = 10.0
    keepalive: KeepAlive | None = None

    def connect(self, pairs: Sequence[str], interval: Interval) -> "ScriptedConnection":
        return ScriptedConnection(self, tuple(pairs))


@dataclass
class ScriptedConnection:
    """One connection to it; asks for its pairs in one frame."""

    adapter: ScriptedAdapter
    pairs: tuple[str, ...]

    def opening_frames(self) -> list[str]:
        return [f"follow {' '.join(self.pairs)}"]

    def receive(self, frame: str | bytes) -> list[Event]:
        assert isinstance(frame, str)
        return self.adapter.meanings.get(frame, [])


def update(number: int, price: int = 100, *, pair: str = "BTC-USD", **fields: Any) -> CandleUpdate:
    """What an exchange says of the numbered minute."""
    value = Decimal(price)
    return CandleUpdate(pair, Interval.M1, minute(number), value, value, value, value, Decimal(1), **fields)
