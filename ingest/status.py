"""What one feed says about itself in the topic ``feeds``: its state, beats, gaps and losses."""

import logging
from collections.abc import Sequence

from ingest import metrics
from ingest.backlog import Seen
from ingest.candle import Candle
from ingest.clock import Clock, now_ms
from ingest.events import EventKind, FeedEvent, FeedState
from ingest.marks import Marks
from ingest.producer import CandleProducer
from ingest.sight import Gap

logger = logging.getLogger(__name__)


class FeedStatus:
    """The state of one exchange's feed; every change of it is logged once and told at once."""

    def __init__(self, exchange: str, producer: CandleProducer, clock: Clock) -> None:
        self._exchange, self._producer, self._clock = exchange, producer, clock
        self._since = now_ms(clock)
        self.state = FeedState.DOWN
        self.marks: Marks[Seen] = Marks()
        metrics.start_at_zero(exchange)
        producer.report_losses(exchange, self.lost)

    def connected(self, pairs: Sequence[str]) -> None:
        """The connection is open and these pairs are being asked for; nothing is known to flow yet."""
        self._take(FeedState.STALE)
        self._send(self._event(EventKind.CONNECTED, pairs=tuple(pairs)))
        logger.info("connected", extra={"exchange": self._exchange})

    def disconnected(self, reason: str) -> None:
        """The connection is over."""
        self._take(FeedState.DOWN)
        self._send(self._event(EventKind.DISCONNECTED, reason=reason))
        logger.warning("disconnected", extra={"exchange": self._exchange, "reason": reason})

    def become(self, state: FeedState, seen: Seen | None) -> None:
        """Take a state; when it is another one, say so without waiting for the next beat."""
        if state is not self.state:
            self._take(state)
            logger.info("feed is %s", state.value, extra={"exchange": self._exchange})
            self.beat(seen)

    def beat(self, seen: Seen | None) -> None:
        """Say how the feed is, and up to where everything is in Kafka.

        Args:
            seen: What has been seen and sent so far; a later beat states it, once Kafka has acknowledged all of it.
        """
        if seen is not None:
            self.marks.place(seen)
        metrics.feed_waiting_marks.labels(self._exchange).set(self.marks.waiting)
        until, pairs = self.marks.reached or (None, ())
        self._send(self._event(EventKind.BEAT, until=until, pairs=pairs))

    def gap(self, gap: Gap, reason: str) -> None:
        """Say that a range of the exchange's time was not seen."""
        metrics.feed_gaps_total.labels(self._exchange).inc()
        self._send(self._event(EventKind.GAP, pairs=gap.pairs, gap_from=gap.from_ms, gap_to=gap.to_ms, reason=reason))
        logger.warning(
            "gap",
            extra={"exchange": self._exchange, "from": gap.from_ms, "to": gap.to_ms, "pairs": ",".join(gap.pairs)},
        )

    def lost(self, candle: Candle, reason: str) -> None:
        """Say that a version of a candle will not get into Kafka."""
        self._send(self._event(EventKind.LOST, series=candle.series.key, timestamp=candle.timestamp, reason=reason))
        logger.error(
            "candle lost",
            extra={"exchange": self._exchange, "series": candle.series.key, "open": candle.timestamp, "reason": reason},
        )

    def _take(self, state: FeedState) -> None:
        self.state, self._since = state, now_ms(self._clock)
        for each in FeedState:
            metrics.feed_state.labels(self._exchange, each.value).set(each is state)

    def _event(
        self,
        kind: EventKind,
        *,
        reason: str = "",
        pairs: tuple[str, ...] = (),
        until: int | None = None,
        gap_from: int | None = None,
        gap_to: int | None = None,
        series: str | None = None,
        timestamp: int | None = None,
    ) -> FeedEvent:
        return FeedEvent(
            exchange=self._exchange,
            event=kind,
            feed=self.state,
            since=self._since,
            at=now_ms(self._clock),
            reason=reason,
            pairs=pairs,
            until=until,
            gap_from=gap_from,
            gap_to=gap_to,
            series=series,
            timestamp=timestamp,
        )

    def _send(self, event: FeedEvent) -> None:
        self._producer.send_event(event, self.marks)
