"""What is done with each frame of an exchange: events to candles, gaps and beats. No socket.

A feed tells it when a connection begins and ends, hands over each frame, and ticks it. Everything happens at once, in
the caller's thread, so that a frame is with Kafka's client before the next one is read.
"""

import logging
from collections.abc import Iterable, Sequence
from typing import Final

from ingest import metrics
from ingest.candle import MAX_AHEAD_MS, Interval, Series
from ingest.clock import Clock, now_ms
from ingest.closing import EARLIER_PROCESS, SeriesTracker
from ingest.events import FeedState
from ingest.exchanges.base import (
    Adapter,
    CandleUpdate,
    Connection,
    Event,
    Heartbeat,
    Invalid,
    MissedFrames,
    Origin,
    Rejected,
    Subscribed,
)
from ingest.producer import CandleProducer
from ingest.revision import HybridClock
from ingest.sight import Gap, Sight
from ingest.status import FeedStatus
from ingest.tail import Tail

logger = logging.getLogger(__name__)

BEAT_SECONDS: Final = 1.0
#: How long the gap of a reconnect waits for pairs that got no answer to their subscription.
ANSWER_SECONDS: Final = 5.0
#: How long it waits for an exact time of the exchange before it ends at the end of the running candle.
#: Blockchain.com says its time each 5.1 s.
EXACT_TIME_SECONDS: Final = 6.0
#: Reasons of the exchange that were said and are not said again; it may think of ever new ones.
MAX_REJECTIONS: Final = 1_000


class Intake:
    """Everything one feed knows between two frames.

    Args:
        exchange: Its name, which every candle carries.
        adapter: Its protocol.
        pairs: The pairs to follow.
        producer: Where candles, events and dead letters go.
        revisions: The process's clock of revisions; all feeds share it.
        clock: The time.
        tail: What an earlier process left in Kafka.
        interval: Length of the candles.
    """

    def __init__(
        self,
        exchange: str,
        adapter: Adapter,
        pairs: Sequence[str],
        *,
        producer: CandleProducer,
        revisions: HybridClock,
        clock: Clock,
        tail: Tail,
        interval: Interval = Interval.M1,
    ) -> None:
        self.exchange, self.adapter, self.pairs = exchange, adapter, tuple(pairs)
        self._producer, self._clock, self._interval = producer, clock, interval
        self._status = FeedStatus(exchange, producer, clock)
        self._sight = Sight(self.pairs, tail.seen_until())
        self._trackers = {pair: SeriesTracker(Series(exchange, pair, interval), revisions) for pair in self.pairs}
        self._connection: Connection | None = None
        self._proof = EARLIER_PROCESS
        self._blind_reason = "restart"
        self._missed: MissedFrames | None = None
        self._rejections: set[tuple[str | None, str]] = set()
        self._silent_seconds = self._since_beat_seconds = self._connected_seconds = 0.0
        self.had_data = False
        self._frames = metrics.frames_received_total.labels(exchange)
        self._frame_seen = False
        self._load(tail)
        # Says anew what the tail says. Else, if this process ended before its first gap is told, the next one would
        # take the start of its blindness from the candles of this one.
        self.beat()

    @property
    def silent_seconds(self) -> float:
        """For how long the connection has brought no frame."""
        return self._silent_seconds

    def began(self) -> list[str]:
        """A connection is open: return the frames to send first."""
        self._connection = self.adapter.connect(self.pairs, self._interval)
        self._proof += 1
        self._missed, self.had_data = None, False
        self._silent_seconds = self._connected_seconds = 0.0
        self._status.connected(self.pairs)
        return self._connection.opening_frames()

    def ask_again(self) -> list[str]:
        """The frames that ask once more for the pairs that were neither accepted nor refused for good."""
        pairs = self._sight.unanswered
        return self.adapter.connect(pairs, self._interval).opening_frames() if pairs else []

    def receive(self, frame: str | bytes) -> MissedFrames | None:
        """Take one frame; the answer says that frames were missed and the connection has to be made anew."""
        assert self._connection is not None
        self._frames.inc()
        self._frame_seen = True
        self._silent_seconds = 0.0
        for event in self._connection.receive(frame):
            self._take(event, frame)
        return self._missed

    def ended(self, reason: str) -> None:
        """The connection is over."""
        self._connection = None
        self._blind(reason)
        self._status.disconnected(reason)

    def tick(self, seconds: float) -> None:
        """Let time pass: beats, staleness, and answers that do not come."""
        self._silent_seconds += seconds
        self._since_beat_seconds += seconds
        if self._frame_seen:
            metrics.feed_last_frame_timestamp_seconds.labels(self.exchange).set(now_ms(self._clock) / 1000)
            self._frame_seen = False
        if self._connection is not None:
            self._connected_seconds += seconds
            if self._connected_seconds >= ANSWER_SECONDS:
                self._sight.wait_no_longer()
            if self._connected_seconds >= EXACT_TIME_SECONDS:
                self._tell(self._sight.settle())
            fresh = self._sight.subscribed and self._silent_seconds <= self.adapter.silence_seconds / 2
            self._status.become(FeedState.LIVE if fresh else FeedState.STALE, self._sight.seen())
        if self._since_beat_seconds >= BEAT_SECONDS:
            self.beat()

    def beat(self) -> None:
        """Say now how the feed is."""
        self._since_beat_seconds = 0.0
        self._status.beat(self._sight.seen())

    def _load(self, tail: Tail) -> None:
        """Go on where the earlier process stopped; what it left open is sent as provisional."""
        for pair, tracker in self._trackers.items():
            series = Series(self.exchange, pair, self._interval)
            for candle in tracker.load(candle for candle in tail.candles if candle.series == series):
                self._producer.send_candle(candle, self._status.marks)

    def _take(self, event: Event, frame: str | bytes) -> None:
        match event:
            case CandleUpdate():
                self._take_candle(event, frame)
            case Heartbeat():
                self.had_data = True
                time = event.exchange_time_ms
                if time is not None and time <= now_ms(self._clock) + MAX_AHEAD_MS:
                    self._at(time)
            case Subscribed():
                self._sight.accepted(event.pair)
                if self._status.state is FeedState.STALE:
                    self._status.become(FeedState.LIVE, self._sight.seen())
            case Rejected():
                self._take_rejection(event)
            case MissedFrames():
                self._missed = event
                self._blind(f"frame {event.expected} expected, {event.received} received")
            case Invalid():
                self._reject(frame, event.reason)

    def _take_candle(self, update: CandleUpdate, frame: str | bytes) -> None:
        self.had_data = True
        tracker = self._trackers.get(update.pair)
        if tracker is None or update.interval is not self._interval:
            return self._reject(frame, f"candle of {update.pair} {update.interval.value}, which is not followed")
        if update.timestamp > now_ms(self._clock) + MAX_AHEAD_MS:
            return self._reject(frame, f"open time {update.timestamp} is more than a day ahead")
        if tracker.forgets(update.timestamp):
            metrics.updates_forgotten_total.labels(self.exchange).inc()
        for candle in tracker.apply(update, self._proof):
            self._producer.send_candle(candle, self._status.marks)
        if update.origin is Origin.LIVE and self._missed is None:
            self._sight.within(update.timestamp, update.timestamp + self._interval.milliseconds)
        return None

    def _take_rejection(self, rejected: Rejected) -> None:
        if rejected.pair is not None:
            self._sight.refused(rejected.pair, for_good=not rejected.retryable)
        metrics.feed_pairs_rejected.labels(self.exchange).set(len(self._sight.refused_pairs))
        # Once per pair and reason: a reconnect is refused the same pairs again.
        if (rejected.pair, rejected.reason) not in self._rejections:
            if len(self._rejections) >= MAX_REJECTIONS:
                self._rejections.clear()
            self._rejections.add((rejected.pair, rejected.reason))
            logger.warning(
                "subscription rejected, following the others",
                extra={"exchange": self.exchange, "pair": rejected.pair, "reason": rejected.reason},
            )

    def _reject(self, frame: str | bytes, reason: str) -> None:
        metrics.frames_invalid_total.labels(self.exchange).inc()
        self._producer.send_dead_letter(self.exchange, frame, reason)
        # It may have held the last update of a candle, so what is open now needs another one before it is final.
        self._proof += 1

    def _at(self, exchange_time_ms: int) -> None:
        if self._missed is None:
            self._tell(self._sight.at(exchange_time_ms))

    def _tell(self, gaps: Iterable[Gap]) -> None:
        for gap in gaps:
            self._status.gap(gap, self._blind_reason)

    def _blind(self, reason: str) -> None:
        self._proof += 1
        self._blind_reason = reason
        self._sight.ended()
