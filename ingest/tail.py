"""What an earlier process of ours left in Kafka: read once on start, before the first connection.

From it a new process knows the rank of each recent candle, sets its clock above every revision, and learns from the
last beat up to which time of the exchange everything is in Kafka.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from confluent_kafka import OFFSET_END, Consumer, KafkaException, Message, TopicPartition

from ingest import topics
from ingest.candle import MAX_AHEAD_MS, Candle
from ingest.codec import decode_candle, decode_event
from ingest.errors import DecodeError, IngestError
from ingest.events import EventKind, FeedEvent
from ingest.kafka import client_config
from ingest.revision import time_ms_of, time_us_of

logger = logging.getLogger(__name__)

#: How much of ``candles`` is read, counted back from the end of the earlier process.
TAIL_MS: Final = 15 * 60_000
#: At most so many records, the newest: a start must not take longer because the market was busy.
MAX_TAIL_RECORDS: Final = 400_000
#: How far back the last beat is looked for, in steps; beats come once a second and exchange.
FEED_STEPS: Final = (1_000, 30_000, 1_000_000)
READ_TIMEOUT_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Tail:
    """What is known of one exchange: the newest version of each recent candle, and the last beat."""

    candles: tuple[Candle, ...] = ()
    beat: FeedEvent | None = None

    @property
    def latest_rev(self) -> int:
        """The revision that was made last; 0 without candles. Not the highest one, since ranks differ."""
        return max((candle.rev for candle in self.candles), key=time_us_of, default=0)

    def seen_until(self) -> dict[str, int]:
        """For each pair up to which exchange time it was seen, Unix milliseconds; empty on a very first start.

        The last beat says it. For a pair that the beat does not name it is the newest open time: at that moment
        the pair was seen, for what came after nobody can tell.
        """
        seen: dict[str, int] = {}
        for candle in self.candles:
            seen[candle.pair] = max(candle.timestamp, seen.get(candle.pair, 0))
        if self.beat is not None and self.beat.until is not None:
            seen.update(dict.fromkeys(self.beat.pairs, self.beat.until))
        return seen


class TailError(IngestError):
    """Raised when the end of a topic did not arrive in time."""


class _Glance(msgspec.Struct):
    timestamp: int
    rev: int


_glance_decoder = msgspec.json.Decoder(_Glance)


def read_tails(brokers: str, exchanges: Sequence[str], now_ms: int) -> dict[str, Tail]:
    """Read the tail of each exchange.

    Raises:
        KafkaException: If Kafka cannot be reached or refuses.
        TailError: If it answers too slowly.
    """
    consumer = Consumer(
        client_config(brokers, polled=True)
        | {
            "group.id": "ingest-tail",  # demanded by the client; offsets are neither read nor committed
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 10,
            "fetch.max.bytes": 64 * 1024 * 1024,
            "max.partition.fetch.bytes": 8 * 1024 * 1024,
        }
    )
    try:
        beats = _last_beats(consumer, exchanges)
        candles = {exchange: _Newest(now_ms) for exchange in exchanges}
        for window in _windows(exchanges, beats, now_ms):
            for message in _read(consumer, topics.CANDLES, _bounds(consumer, window)):
                newest = candles.get((message.key() or b"").partition(b"|")[0].decode(errors="replace"))
                if newest is not None:
                    newest.see(message)
        return {exchange: Tail(candles[exchange].candles(), beats.get(exchange)) for exchange in exchanges}
    finally:
        consumer.close()


class _Newest:
    """The newest version of each candle among many records, most of which are only glanced at."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms
        self._payloads: dict[tuple[bytes, int], tuple[int, bytes]] = {}

    def see(self, message: Message) -> None:
        payload = message.value()
        try:
            glance = _glance_decoder.decode(payload or b"")
        except (msgspec.DecodeError, UnicodeDecodeError):
            return  # bridges dead-letter it
        key = (message.key() or b"", glance.timestamp)
        if glance.rev > self._payloads.get(key, (-1, b""))[0]:
            self._payloads[key] = (glance.rev, payload or b"")

    def candles(self) -> tuple[Candle, ...]:
        """The candles, oldest first; without those that every reader refuses for lying in the future."""
        latest_ms = self._now_ms + MAX_AHEAD_MS
        found = []
        for _, payload in self._payloads.values():
            try:
                candle = decode_candle(payload)
            except DecodeError:
                continue
            if candle.timestamp <= latest_ms and time_ms_of(candle.rev) <= latest_ms:
                found.append(candle)
        return tuple(sorted(found, key=lambda candle: (candle.timestamp, candle.series)))


#: A range of record times, Unix milliseconds; None is the end of the topic.
Window = tuple[int, int | None]
#: Partition to the first offset to read and the one to stop before.
Bounds = dict[int, tuple[int, int]]


def _windows(exchanges: Sequence[str], beats: Mapping[str, FeedEvent], now_ms: int) -> list[Window]:
    """The last minutes, and for an exchange that nobody followed meanwhile the minutes before its last beat."""
    windows: list[Window] = [(now_ms - TAIL_MS, None)]
    for exchange in exchanges:
        beat = beats.get(exchange)
        if beat is not None and beat.at < now_ms - TAIL_MS:
            windows.append((beat.at - TAIL_MS, beat.at + TAIL_MS))
    return windows


def _bounds(consumer: Consumer, window: Window) -> Bounds:
    """Where a window lies in each partition of ``candles``, cut to the newest `MAX_TAIL_RECORDS`."""
    partitions = consumer.list_topics(topics.CANDLES, timeout=READ_TIMEOUT_SECONDS).topics[topics.CANDLES].partitions
    limit = MAX_TAIL_RECORDS // max(1, len(partitions))
    starts = _offsets_at(consumer, partitions, window[0])
    stops = {} if window[1] is None else _offsets_at(consumer, partitions, window[1])
    bounds = {}
    for partition in partitions:
        low, high = _watermarks(consumer, topics.CANDLES, partition)
        stop = min(stops.get(partition, high), high)
        bounds[partition] = (max(min(starts[partition], high), stop - limit, low), stop)
    return bounds


def _offsets_at(consumer: Consumer, partitions: Iterable[int], time_ms: int) -> dict[int, int]:
    """The first offset at or after a time, per partition; beyond every offset where there is none."""
    wanted = [TopicPartition(topics.CANDLES, partition, time_ms) for partition in partitions]
    found = consumer.offsets_for_times(wanted, timeout=READ_TIMEOUT_SECONDS)
    return {each.partition: 2**62 if each.offset == OFFSET_END or each.offset < 0 else each.offset for each in found}


def _last_beats(consumer: Consumer, exchanges: Sequence[str]) -> dict[str, FeedEvent]:
    """The newest beat of each exchange, looked for from the end of ``feeds`` backwards."""
    low, high = _watermarks(consumer, topics.FEEDS, 0)
    beats: dict[str, FeedEvent] = {}
    stop = high
    for step in FEED_STEPS:
        start = max(low, stop - step)
        found: dict[str, FeedEvent] = {}
        for message in _read(consumer, topics.FEEDS, {0: (start, stop)}):
            exchange = (message.key() or b"").decode(errors="replace")
            if exchange in exchanges and exchange not in beats:
                beat = _beat(message.value())
                if beat is not None:
                    found[exchange] = beat
        beats = found | beats
        stop = start
        if len(beats) == len(exchanges) or stop <= low:
            break
    return beats


def _beat(payload: bytes | None) -> FeedEvent | None:
    try:
        event = decode_event(payload or b"")
    except DecodeError:
        return None
    return event if event.event is EventKind.BEAT and event.until is not None else None


def _watermarks(consumer: Consumer, topic: str, partition: int) -> tuple[int, int]:
    marks = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=READ_TIMEOUT_SECONDS)
    if marks is None:
        raise TailError(f"Kafka did not say where {topic}/{partition} ends within {READ_TIMEOUT_SECONDS:.0f} s")
    low, high = marks
    return low, high


def _read(consumer: Consumer, topic: str, bounds: Bounds) -> Iterator[Message]:
    """The records within the bounds, in order per partition."""
    bounds = {partition: (start, stop) for partition, (start, stop) in bounds.items() if start < stop}
    if not bounds:
        return
    consumer.assign([TopicPartition(topic, partition, start) for partition, (start, _) in bounds.items()])
    missing = set(bounds)
    deadline = time.monotonic() + READ_TIMEOUT_SECONDS
    while missing:
        messages = consumer.consume(10_000, timeout=0.02)
        if time.monotonic() > deadline:
            raise TailError(f"{topic} could not be read to its end within {READ_TIMEOUT_SECONDS:.0f} s")
        for message in messages:
            error = message.error()
            if error is not None:
                raise KafkaException(error)
            partition, offset = message.partition(), message.offset()
            assert partition is not None  # a record that was read has a place
            assert offset is not None
            stop = bounds[partition][1]
            if offset + 1 >= stop:
                missing.discard(partition)
            if offset < stop:
                yield message
    consumer.unassign()
