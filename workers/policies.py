"""What the bridges do differently: which topics they read, where they start, what a record becomes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dramatiq import Actor

from ingest.topics import CANDLES, FEEDS
from workers import fanout, larger_candles, persist
from workers.batching import Version, candle_version, event_version
from workers.fanout import get_live, send_candles, send_events
from workers.jobs import Refused, Rows
from workers.larger_candles import roll_up_rows
from workers.larger_live import get_larger_live
from workers.persist import store_candles
from workers.settings import Settings
from workers.store import get_store

#: Applies a batch: the rows that can never take effect, None if it is not known that all others did.
Apply = Callable[[Rows], Refused | None]


@dataclass(frozen=True)
class Source:
    """What becomes of one topic's records."""

    version_of: Callable[[bytes], Version]
    #: The actor that applies a batch in a worker; None: batches of this topic never leave the bridge.
    actor: Actor[Any, None] | None
    #: The same without the queue: gives what applies the batches of one assignment, and may remember them.
    begin: Callable[[], Apply]
    #: Of what `begin` gave: the first offset that it took in and whose effect is still to come; None: there is none.
    owed_from: Callable[[Any], int | None] = lambda _apply: None


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
    #: How long a batch may wait if none of its rows is urgent (seconds); 0: as long as any.
    patience_seconds: float = 0.0
    #: How long Kafka may gather records before it sends them (milliseconds); 0: each at once.
    fetch_wait_ms: int = 0
    #: Called so often by the thread that applies batches in the bridge.
    upkeep: Callable[[], None] = lambda: None
    upkeep_seconds: float = 0.2


PERSIST = Policy(
    name="persist",
    group="crypto-streams-persist",
    queue=persist.QUEUE,
    sources={
        CANDLES: Source(candle_version, persist.persist_candles, lambda: lambda rows: store_candles(get_store(), rows)),
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
        CANDLES: Source(candle_version, fanout.publish_candles, lambda: lambda rows: send_candles(get_live(), rows)),
        FEEDS: Source(event_version, fanout.publish_events, lambda: lambda rows: send_events(get_live(), rows)),
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

#: It reads what `PERSIST` reads, and its commits are the record of which larger candles are still to be made right.
#: What closes a minute is urgent; else a running candle is stored every `Settings.rollup_seconds`.
ROLLUP = Policy(
    name="rollup",
    group="crypto-streams-rollup",
    queue=larger_candles.QUEUE,
    sources={
        CANDLES: Source(
            candle_version, larger_candles.roll_up_candles, lambda: lambda rows: roll_up_rows(get_store(), rows)
        ),
    },
    batch_seconds=0.2,
    patience_seconds=15.0,
    fetch_wait_ms=200,
    # A job may be a thousand candles of each interval.
    lease_seconds=10.0,
    in_order=False,
    start_ago_ms=None,
    watermark_in_store=True,
    health_port=9104,
    dead_letters=False,
)

#: Computes larger candles in the bridge itself, which alone has the minutes before in memory. Needs the store only to
#: begin with a pair.
ROLLUP_LIVE = Policy(
    name="rollup-live",
    group="crypto-streams-rollup-live",
    queue="",
    sources={
        CANDLES: Source(candle_version, None, lambda: get_larger_live().begin(), lambda partition: partition.owed_from),
    },
    batch_seconds=0.02,
    # This and the upkeep are of the 250 ms that a larger candle may come after its minute: exchanging messages for each
    # record, with Kafka and with Redis, would cost most of all.
    fetch_wait_ms=50,
    lease_seconds=5.0,
    # The bridge's own thread takes them in as they come.
    in_order=False,
    start_ago_ms=10 * 60 * 1000,
    watermark_in_store=False,
    health_port=9105,
    dead_letters=False,
    upkeep=lambda: get_larger_live().upkeep(),
    upkeep_seconds=0.05,
)

POLICIES = {policy.name: policy for policy in (PERSIST, FANOUT, ROLLUP, ROLLUP_LIVE)}


def policy_of(name: str, settings: Settings) -> Policy:
    """The policy of that name, as the settings want it."""
    policy = POLICIES[name]
    return replace(policy, patience_seconds=settings.rollup_seconds) if policy is ROLLUP else policy
