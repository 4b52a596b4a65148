"""The contract between a feed and an adapter.

An adapter is pure translation: text in, values out; no socket, no clock, no logging. What belongs to one connection
(subscriptions, sequence numbers, open requests) lives in a `Connection`, which is thrown away with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Protocol

from ingest.candle import Interval


class Origin(Enum):
    """Where an update comes from, which decides what it proves."""

    LIVE = "live"  # the running candle, or the exchange's own closed one
    HISTORY = "history"  # a snapshot or history row older than the running candle: closed on arrival


@dataclass(frozen=True, slots=True)
class CandleUpdate:
    """One candle as the exchange described it just now; its values have been checked.

    ``closed`` is the exchange's own flag, None where it has none. ``timestamp``: open time, Unix milliseconds UTC.
    """

    pair: str
    interval: Interval
    timestamp: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    closed: bool | None = None
    origin: Origin = Origin.LIVE


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The exchange accepted a pair."""

    pair: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """The exchange refused something; ``pair`` is None when it did not say which one."""

    pair: str | None
    reason: str
    retryable: bool = False


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Proof of life; ``exchange_time_ms`` where the exchange says its time (Unix milliseconds)."""

    exchange_time_ms: int | None = None


@dataclass(frozen=True, slots=True)
class MissedFrames:
    """The sequence number jumped: frames were lost and the connection must be made anew."""

    expected: int
    received: int


@dataclass(frozen=True, slots=True)
class Invalid:
    """A frame or row that cannot be used. It is counted and dead-lettered; it costs nothing else."""

    reason: str


Event = CandleUpdate | Subscribed | Rejected | Heartbeat | MissedFrames | Invalid


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """A frame that the client has to send every so often."""

    text: str
    every_seconds: float


def shown(value: object) -> str:
    """A value that an exchange sent, as a reason may show it: short, plain ASCII, and never an error."""
    if isinstance(value, str | None) or (isinstance(value, int) and abs(value) < 2**63):
        return f"{value!a:.60}"
    # Printing a deeply nested list or a number of 5,000 digits raises.
    return f"a value of type {type(value).__name__}"


class Connection(Protocol):
    """What one connection to an exchange knows; made by `Adapter.connect`, dropped with the socket."""

    def opening_frames(self) -> list[str]:
        """The frames to send once the socket is open, in order."""

    def receive(self, frame: str | bytes) -> list[Event]:
        """Translate one frame. Total: never raises, whatever the frame holds."""


class Adapter(Protocol):
    """One exchange's protocol."""

    #: Where to connect, and the ``Origin`` header to send (None: none).
    url: str
    origin: str | None
    #: Reconnect when nothing at all has arrived for this long.
    silence_seconds: float
    keepalive: KeepAlive | None

    def connect(self, pairs: Sequence[str], interval: Interval) -> Connection:
        """Fresh state for a new connection that will follow ``pairs``."""
