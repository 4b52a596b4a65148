"""Every metric of bridges and workers; a process shows those of the modules it runs.

A worker program is one child process of `dramatiq`, so the ordinary registry serves: nothing is summed over processes.
"""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_PARTITION = ("bridge", "topic", "partition")

# -- bridges ----------------------------------------------------------------------------------------------------------

BRIDGE_LAG: Final = Gauge(
    "bridge_lag_records", "Records in Kafka above the watermark, by the broker's last answer.", _PARTITION
)
BRIDGE_WATERMARK: Final = Gauge("bridge_watermark_offset", "Offset below which every row took effect.", _PARTITION)
BRIDGE_BATCHES: Final = Gauge("bridge_inflight_batches", "Batches sent to workers and not done.", ("bridge",))
BRIDGE_ROWS: Final = Gauge("bridge_inflight_rows", "Rows in the batches that are not done.", ("bridge",))
BRIDGE_RECORDS_IN_FLIGHT: Final = Gauge(
    "bridge_inflight_records", "Records read into batches that are not done.", _PARTITION
)
BRIDGE_PAUSED: Final = Gauge("bridge_paused", "1 while reading is paused because too many batches wait.", ("bridge",))
BRIDGE_QUEUE_DEAD: Final = Gauge(
    "bridge_queue_dead", "1 while no worker answers and the bridge applies batches itself.", ("bridge",)
)
BRIDGE_RECORDS: Final = Counter("bridge_records_total", "Records read from Kafka.", ("bridge", "topic"))
BRIDGE_CONFLATED: Final = Counter(
    "bridge_conflated_total", "Records left out because their batch held a newer version.", ("bridge",)
)
BRIDGE_UNREADABLE: Final = Counter(
    "bridge_unreadable_total", "Records that cannot be read as what their topic promises.", ("bridge",)
)
BRIDGE_REDISPATCHED: Final = Counter(
    "bridge_redispatched_total", "Batches enqueued again because their lease lapsed.", ("bridge",)
)
BRIDGE_ENQUEUE_FAILED: Final = Counter(
    "bridge_enqueue_failed_total", "Attempts to enqueue that failed or found the queue too long.", ("bridge",)
)
BRIDGE_APPLIED_ITSELF: Final = Counter(
    "bridge_applied_itself_total", "Batches that the bridge applied itself, without a worker.", ("bridge",)
)
BRIDGE_OWN_BATCHES: Final = Gauge(
    "bridge_own_batches", "Batches that wait until the bridge itself has applied them.", ("bridge",)
)
BRIDGE_COMMITS: Final = Counter("bridge_commits_total", "Commits of watermarks to Kafka.", ("bridge", "result"))
BRIDGE_REWINDS: Final = Counter(
    "bridge_rewinds_total", "Partitions read again, as the store or the topic is, or may be, another one.", ("bridge",)
)
BRIDGE_FRESH_CONSUMERS: Final = Counter(
    "bridge_fresh_consumers_total",
    "Consumers replaced because a topic was made anew, or nothing came of what Kafka holds.",
    ("bridge",),
)
DEAD_LETTERS: Final = Counter("bridge_dead_letters_total", "Records written to the dead-letter topic.", ("bridge",))

# -- workers ----------------------------------------------------------------------------------------------------------

JOB_SECONDS: Final = Histogram(
    "job_duration_seconds",
    "How long a job took.",
    ("actor",),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
JOBS: Final = Counter("jobs_total", "Jobs, by what became of them.", ("actor", "result"))
JOBS_EXPIRED: Final = Counter("jobs_expired_total", "Jobs dropped because they had waited too long.", ("actor",))

CANDLES_PERSISTED: Final = Counter("candles_persisted_total", "Candle versions that the store took.")
CANDLES_NOT_NEWER: Final = Counter("candles_not_newer_total", "Candle versions not newer than what was stored.")
CANDLES_REFUSED: Final = Counter("candles_refused_total", "Rows that cannot be a candle or cannot be stored.")
STORE_ERRORS: Final = Counter("store_errors_total", "Writes that the store did not confirm.", ("error",))

LIVE_CANDLES: Final = Counter("live_candles_total", "Candles offered to the live side, by result.", ("result",))
LARGER_CANDLES: Final = Counter(
    "larger_candles_total", "Larger candles computed for the store, by result.", ("result",)
)
LARGER_LIVE: Final = Counter(
    "larger_live_candles_total", "Larger candles offered to the live side, by result.", ("result",)
)
LIVE_EVENTS: Final = Counter("live_events_total", "Feed events offered to the live side, by result.", ("result",))
