"""Every metric of this package. Counters of known labels start at zero, so that a first failure is a visible step."""

from typing import Final

from prometheus_client import Counter, Gauge

from ingest.candle import State
from ingest.events import FeedState

#: Why a connection to an exchange ended or did not come about; see `ingest.feed`.
RECONNECT_REASONS: Final = ("closed", "error", "missed_frames", "refused", "silence", "unreachable")

frames_received_total = Counter("frames_received_total", "Frames read from the exchange.", ["exchange"])
candles_produced_total = Counter(
    "candles_produced_total", "Candle versions handed to the Kafka producer, by state.", ["exchange", "state"]
)
frames_invalid_total = Counter(
    "frames_invalid_total", "Frames or rows of the exchange that could not be used.", ["exchange"]
)
updates_forgotten_total = Counter(
    "updates_forgotten_total", "Updates of candles too old for their rank to be remembered; not sent.", ["exchange"]
)
feed_reconnects_total = Counter(
    "feed_reconnects_total", "Connections that ended, or attempts that failed, by reason.", ["exchange", "reason"]
)
feed_gaps_total = Counter("feed_gaps_total", "Ranges of the exchange's time that were not seen.", ["exchange"])
feed_state = Gauge("feed_state", "1 for the state the feed is in, 0 for the others.", ["exchange", "state"])
feed_pairs_rejected = Gauge("feed_pairs_rejected", "Pairs that the exchange refuses to follow.", ["exchange"])
feed_last_frame_timestamp_seconds = Gauge(
    "feed_last_frame_timestamp_seconds", "When the last frame was read, Unix seconds; 0 before the first.", ["exchange"]
)
candles_lost_total = Counter(
    "candles_lost_total",
    "Candle versions given up: refused by Kafka for good, or pushed out of the backlog.",
    ["exchange"],
)
producer_failures_total = Counter(
    "producer_failures_total", "Records that Kafka did not take, by kind; candles and events are tried again.", ["kind"]
)
producer_backlog_candles = Gauge("producer_backlog_candles", "Candles that wait because Kafka cannot take them now.")
producer_backlog_events = Gauge("producer_backlog_events", "Feed events that wait because Kafka cannot take them now.")
feed_waiting_marks = Gauge(
    "feed_waiting_marks", "Beats whose time is not told yet, as Kafka has not acknowledged all before it.", ["exchange"]
)
producer_outstanding_records = Gauge(
    "producer_outstanding_records", "Records handed to the Kafka client and not yet acknowledged."
)
for _kind in ("candle", "event", "dead_letter"):
    producer_failures_total.labels(_kind)


def start_at_zero(exchange: str) -> None:
    """Make the series of one exchange visible before anything happens."""
    for counter in (
        frames_received_total,
        frames_invalid_total,
        updates_forgotten_total,
        feed_gaps_total,
        candles_lost_total,
    ):
        counter.labels(exchange)
    for gauge in (feed_pairs_rejected, feed_last_frame_timestamp_seconds, feed_waiting_marks):
        gauge.labels(exchange)
    for state in State:
        candles_produced_total.labels(exchange, state.value)
    for reason in RECONNECT_REASONS:
        feed_reconnects_total.labels(exchange, reason)
    for feed in FeedState:
        feed_state.labels(exchange, feed.value).set(feed is FeedState.DOWN)
