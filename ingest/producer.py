"""Candles, feed events and dead letters to Kafka; nothing is dropped in silence.

All methods are called from one thread, the one that runs the event loop: librdkafka does its network work in threads
of its own, and its delivery reports are served by `CandleProducer.poll`. So there are no locks here, and a frame
reaches Kafka's client without a change of thread.

What happens to a candle that Kafka does not take, see `ingest.backlog`. What is safely in Kafka, see `ingest.marks`.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from ingest import metrics, topics
from ingest.backlog import CandleBacklog, CandleKey, CandleRecord, EventBacklog, EventRecord, Seen
from ingest.candle import Candle
from ingest.clock import Clock
from ingest.codec import encode_candle, encode_event
from ingest.events import EventKind, FeedEvent
from ingest.kafka import client_config
from ingest.marks import Marks

logger = logging.getLogger(__name__)

#: How often delivery reports are served and waiting records tried again.
POLL_SECONDS: Final = 0.02
#: Pause after Kafka refused a record for a reason other than time, so that refusals do not spin.
REFUSED_PAUSE_SECONDS: Final = 1.0
#: Longest frame kept in a dead letter: its beginning tells what it was.
MAX_DEAD_LETTER_BYTES: Final = 64 * 1024

#: Kafka will never take this very record; everything else is a state of the cluster, which may pass.
REFUSED_FOR_GOOD: Final = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_MSG,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_TIMESTAMP,
        KafkaError.POLICY_VIOLATION,
        KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT,
    }
)


def producer_config(brokers: str) -> dict[str, Any]:
    """Settings of the Kafka client: safe first, then quick."""
    return client_config(brokers, polled=True) | {
        "enable.idempotence": True,
        "acks": "all",
        # 1 ms costs 1 ms; 0 doubles the broker's CPU.
        "linger.ms": 1,
        "compression.type": "lz4",
        "delivery.timeout.ms": 120_000,
        # Bounds memory while Kafka is away; beyond it candles are conflated in the backlog.
        "queue.buffering.max.kbytes": 64 * 1024,
        "queue.buffering.max.messages": 100_000,
    }


class KafkaClient(Protocol):
    """The part of confluent_kafka's ``Producer`` that is used here."""

    def produce(
        self,
        topic: str,
        value: bytes,
        key: bytes,
        *,
        headers: list[tuple[str, str | bytes | None]] | None = None,
        on_delivery: Callable[[KafkaError | None, Message], None],
    ) -> None:
        """Queue a record; BufferError when the queue is full."""

    def poll(self, timeout: float) -> int:
        """Serve delivery reports."""

    def flush(self, timeout: float) -> int:
        """Wait for what is queued; returns what is left."""

    def purge(self) -> None:
        """Fail everything that is queued or in flight."""

    def __len__(self) -> int: ...


def kafka_client(brokers: str) -> KafkaClient:
    """A client of a real Kafka; it connects by itself and goes on trying."""
    client: KafkaClient = Producer(producer_config(brokers))
    return client


@dataclass(slots=True)
class _InFlight:
    """Versions of one candle that Kafka's client holds: how many, and the newest unless that one came back."""

    count: int = 0
    newest: CandleRecord | None = None


class CandleProducer:
    """Hands records to Kafka, keeps what it cannot take, and knows what has been acknowledged.

    Args:
        make_client: Builds a Kafka client; called again if Kafka declares one unusable.
        clock: For the pause after a refusal.
        candles: Where candles wait that Kafka cannot take now.
        events: The same for feed events.
    """

    def __init__(
        self,
        make_client: Callable[[], KafkaClient],
        clock: Clock,
        candles: CandleBacklog | None = None,
        events: EventBacklog | None = None,
    ) -> None:
        self._make_client, self._clock = make_client, clock
        self._client = make_client()
        self._candles = CandleBacklog() if candles is None else candles
        self._events = EventBacklog() if events is None else events
        self._in_flight: dict[CandleKey, _InFlight] = {}
        self._events_in_flight = 0
        self._resume_at = 0.0
        self._unusable = False
        self._on_lost: dict[str, Callable[[Candle, str], None]] = {}

    def report_losses(self, exchange: str, report: Callable[[Candle, str], None]) -> None:
        """Call ``report`` with each candle of ``exchange`` that is given up, and why; it sends a ``lost`` event."""
        self._on_lost[exchange] = report

    def send_candle(self, candle: Candle, marks: Marks[Seen]) -> None:
        """Send a version of a candle; ``marks`` learn of its acknowledgement. Never blocks, never raises."""
        metrics.candles_produced_total.labels(candle.exchange, candle.state.value).inc()
        record = CandleRecord(candle, candle.series.key, marks.open())
        # Past what waits there is no way: versions of a series would change places.
        if self._candles or not self._produce_candle(record):
            self._keep(record)
            self._drain()

    def send_event(self, event: FeedEvent, marks: Marks[Seen]) -> None:
        """Send a feed event. A beat that Kafka cannot take now is dropped: the next one says more."""
        if event.event is EventKind.BEAT:
            self._produce_event(EventRecord(event, None))
            return
        record = EventRecord(event, marks.open())
        if self._events or not self._produce_event(record):
            self._events.put(record)

    def send_dead_letter(self, exchange: str, frame: str | bytes, reason: str) -> None:
        """Send what cannot be used to the dead letters; best effort, since it is no candle.

        Its headers are those of every dead letter. It comes from no topic, so ``topic`` is empty and ``partition``
        and ``offset`` are -1.
        """
        payload = frame.encode(errors="replace") if isinstance(frame, str) else frame
        headers: list[tuple[str, str | bytes | None]] = [
            ("reason", reason.encode(errors="replace")),
            ("topic", b""),
            ("partition", b"-1"),
            ("offset", b"-1"),
        ]
        try:
            self._client.produce(
                topics.DEAD_LETTERS,
                payload[:MAX_DEAD_LETTER_BYTES],
                exchange.encode(),
                headers=headers,
                on_delivery=_dead_letter_delivered,
            )
        except (BufferError, KafkaException):
            metrics.producer_failures_total.labels("dead_letter").inc()

    @property
    def unfinished(self) -> int:
        """Candles and feed events that Kafka has not acknowledged."""
        return sum(each.count for each in self._in_flight.values()) + self._events_in_flight + self.waiting

    @property
    def waiting(self) -> int:
        """Candles and feed events that Kafka's client has not taken."""
        return len(self._candles) + len(self._events)

    def unfinished_names(self) -> list[str]:
        """What is unfinished, for a person: series and open time of candles, kinds of events."""
        in_flight = [f"{series}@{timestamp}" for series, timestamp in self._in_flight]
        events = self._events_in_flight + len(self._events)
        return sorted({*in_flight, *self._candles.names()}) + ([f"{events} feed events"] if events else [])

    def poll(self) -> None:
        """Serve delivery reports and try again what waits."""
        self._client.poll(0)
        if self._unusable:
            self._replace_client()
        if self.waiting:
            self._drain()
        metrics.producer_backlog_candles.set(len(self._candles))
        metrics.producer_backlog_events.set(len(self._events))
        metrics.producer_outstanding_records.set(len(self._client))

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            self.poll()
            await asyncio.sleep(POLL_SECONDS)

    async def finish(self, timeout_seconds: float) -> bool:
        """Wait until everything is acknowledged; False if that did not happen in time."""
        ends_at = self._clock.monotonic() + timeout_seconds
        while True:
            self.poll()
            if not self.unfinished:
                return True
            if self._clock.monotonic() >= ends_at:
                return False
            await asyncio.sleep(POLL_SECONDS)

    def _drain(self) -> None:
        if self._clock.monotonic() < self._resume_at:
            return
        while (event := self._events.first()) is not None:
            if not self._produce_event(event):
                return
            self._events.remove_first()
        while (record := self._candles.first()) is not None:
            if not self._produce_candle(record):
                return
            self._candles.remove(record)

    def _produce_candle(self, record: CandleRecord) -> bool:
        payload = encode_candle(record.candle)
        if not self._produce(topics.CANDLES, payload, record.series_key, partial(self._candle_delivered, record)):
            return False
        flight = self._in_flight.setdefault(record.key, _InFlight())
        flight.count += 1
        if flight.newest is None or record.candle.rev > flight.newest.candle.rev:
            flight.newest = record
        return True

    def _produce_event(self, record: EventRecord) -> bool:
        payload = encode_event(record.event)
        taken = self._produce(topics.FEEDS, payload, record.event.exchange, partial(self._event_delivered, record))
        self._events_in_flight += taken
        return taken

    def _produce(
        self, topic: str, payload: bytes, key: str, on_delivery: Callable[[KafkaError | None, Message], None]
    ) -> bool:
        if self._unusable:
            return False
        try:
            self._client.produce(topic, payload, key.encode(), on_delivery=on_delivery)
        except BufferError:
            return False
        except KafkaException as error:
            self._refused(error.args[0])
            return False
        return True

    def _candle_delivered(self, record: CandleRecord, error: KafkaError | None, _message: Message) -> None:
        flight = self._in_flight[record.key]
        flight.count -= 1
        if not flight.count:
            del self._in_flight[record.key]
        if error is None:
            record.acknowledged = True
            record.mark.resolve()
            return
        metrics.producer_failures_total.labels("candle").inc()
        newer = flight.newest if flight.newest is not record else None
        if newer is not None and newer.acknowledged:
            record.mark.resolve()
        elif newer is not None:
            newer.supersede(record)
        else:
            # Versions that are still in flight are older; if they come back, the backlog holds this one.
            flight.newest = None
            if error.code() in REFUSED_FOR_GOOD:
                self._lose(record, f"Kafka refused it: {error.str()}")
            else:
                self._refused(error)
                self._keep(record)

    def _event_delivered(self, record: EventRecord, error: KafkaError | None, _message: Message) -> None:
        self._events_in_flight -= 1
        if error is None:
            if record.mark is not None:
                record.mark.resolve()
            return
        metrics.producer_failures_total.labels("event").inc()
        self._refused(error)
        if record.mark is not None:
            self._events.put(record)

    def _keep(self, record: CandleRecord) -> None:
        lost = self._candles.put(record)
        if lost is not None:
            self._lose(lost, "the backlog is full")

    def _lose(self, record: CandleRecord, reason: str) -> None:
        metrics.candles_lost_total.labels(record.candle.exchange).inc()
        # First the report, then the mark: else a crash in between would leave the loss unknown.
        self._on_lost[record.candle.exchange](record.candle, reason)
        record.mark.resolve()

    def _refused(self, error: KafkaError) -> None:
        if error.fatal() or error.code() == KafkaError._FATAL:
            self._unusable = True
        elif error.code() not in (KafkaError._MSG_TIMED_OUT, KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT):
            self._resume_at = self._clock.monotonic() + REFUSED_PAUSE_SECONDS

    def _replace_client(self) -> None:
        """Start over with a new client: an idempotent one that lost its place in the log takes nothing any more."""
        logger.error("Kafka client became unusable, starting a new one")
        # Everything it holds comes back through the delivery reports.
        self._client.purge()
        self._client.flush(1.0)
        self._client = self._make_client()
        self._unusable = False


def _dead_letter_delivered(error: KafkaError | None, _message: Message) -> None:
    if error is not None:
        metrics.producer_failures_total.labels("dead_letter").inc()
