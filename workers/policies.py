"""What the two bridges do differently: which topics they read, where they start, what a record becomes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dramatiq import Actor

from ingest.topics import CANDLES, FEEDS
from workers import fanout, persist
from workers.batching import Version, candle_version, event_version
from workers.fanout import get_live, send_candles, send_events
from workers.jobs import Refused, Rows
from workers.persist import store_candles
from workers.store import get_store


@dataclass(frozen=True)
class Source:
    """What becomes of one topic's records."""

    version_of: Callable[[bytes], Version]
    #: The actor that applies a batch in a worker, and the same without the queue.
    actor: Actor[Any, None]
    apply: Callable[[Rows], Refused | None]


@dataclass(frozen=True)
class Policy:
    """One kind of bridge."""

    name: str
    #: Kafka's consumer group.
    group: str
    #: Dramatiq's queue.
    queue: str
    sources: Mapping[str, Source]
    #: How long a batch may wait for more rows (seconds).
    batch_seconds: float
    #: How long a batch may take, and how long the workers may be silent, before it is sent again (seconds).
    lease_seconds: float
    #: Whether a partition's next batch waits until the one before it took effect.
    in_order: bool
    #: Where to start without a commit: so long ago (milliseconds), None for the earliest record.
    start_ago_ms: int | None
    #: Whether the watermark is also kept in the store, beside the rows that it speaks of.
    watermark_in_store: bool
    #: Where ``/livez`` and ``/metrics`` are unless HEALTH_PORT says otherwise.
    health_port: int
    #: Whether records that can never take effect go to the dead-letter topic; else they are counted and skipped.
    dead_letters: bool


PERSIST = Policy(
    name="persist",
    group="crypto-streams-persist",
    queue=persist.QUEUE,
    sources={
        CANDLES: Source(candle_version, persist.persist_candles, lambda rows: store_candles(get_store(), rows)),
    },
    batch_seconds=0.2,
    lease_seconds=5.0,
    in_order=False,
    start_ago_ms=None,
    watermark_in_store=True,
    health_port=9102,
    dead_letters=True,
)

#: It must not need the store, so that the live stream goes on without it; `PERSIST` reports what cannot be read.
#: In order, because followers of a stream are never led back: were a minute's successor first, they would never be told
#: how it ended.
FANOUT = Policy(
    name="fanout",
    group="crypto-streams-fanout",
    queue=fanout.QUEUE,
    sources={
        CANDLES: Source(candle_version, fanout.publish_candles, lambda rows: send_candles(get_live(), rows)),
        FEEDS: Source(event_version, fanout.publish_events, lambda rows: send_events(get_live(), rows)),
    },
    batch_seconds=0.0,
    # A lost job holds up its partition for so long; sending one that was merely slow again costs little.
    lease_seconds=2.0,
    in_order=True,
    start_ago_ms=10 * 60 * 1000,
    watermark_in_store=False,
    health_port=9103,
    dead_letters=False,
)

POLICIES = {policy.name: policy for policy in (PERSIST, FANOUT)}
