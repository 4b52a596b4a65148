"""Feed events: what the topic ``feeds`` says about the connection to an exchange.

They answer "was that minute quiet, or were we blind?": beats prove sight, gaps and losses bound blindness.
"""

from enum import StrEnum

import msgspec


class FeedState(StrEnum):
    """What is known about an exchange's feed right now."""

    LIVE = "live"
    STALE = "stale"  # connected, but no proof of life in time
    DOWN = "down"  # not connected


class EventKind(StrEnum):
    """What happened."""

    BEAT = "beat"  # each second: the feed's state
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    GAP = "gap"  # [from, to): time of the exchange that was not seen
    LOST = "lost"  # a candle version that Kafka refused for good, or that the full buffer dropped


class FeedEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """One event of one exchange's feed.

    ``since`` and ``at`` are Unix milliseconds of our clock: when ``feed`` took its state, and when this was written.
    ``gap_from``, ``gap_to`` (JSON: ``from``, ``to``) and ``until`` are Unix milliseconds of the exchange's clock.
    ``until``, in beats: everything the exchange sent up to then is in Kafka; a restart takes the start of its
    gap from there.
    """

    exchange: str
    event: EventKind
    feed: FeedState
    since: int
    at: int
    reason: str = ""
    pairs: tuple[str, ...] = ()
    until: int | None = None
    gap_from: int | None = msgspec.field(default=None, name="from")
    gap_to: int | None = msgspec.field(default=None, name="to")
    series: str | None = None
    timestamp: int | None = None
