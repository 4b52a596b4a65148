"""The frames of the JSON protocol: what clients may send, and everything they are sent.

One struct per frame. They encode the answers, check the commands, and `web.ws.asyncapi` describes them; the frames of
the line protocol are in `web.ws.stream`.
"""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ingest.candle import Candle, Interval, Series

MAX_SNAPSHOT: Final = 500
#: Integers that JavaScript holds exactly.
_MAX_INTEGER: Final = 2**53 - 1

Id = Annotated[int, Meta(ge=-_MAX_INTEGER, le=_MAX_INTEGER)] | Annotated[str, Meta(max_length=64)]
#: Checked in the protocol, with an error code of its own; bounded here, because errors repeat it.
_Name = Annotated[str, Meta(max_length=64)]
_Pairs = Annotated[list[_Name], Meta(min_length=1)]
_Cursor = Annotated[str, Meta(max_length=128)]


class ErrorCode(StrEnum):
    """What an error is, for programs."""

    BAD_JSON = "bad_json"
    BAD_REQUEST = "bad_request"
    UNKNOWN_METHOD = "unknown_method"
    UNKNOWN_EXCHANGE = "unknown_exchange"
    UNKNOWN_PAIR = "unknown_pair"
    UNKNOWN_INTERVAL = "unknown_interval"
    TOO_MANY_SUBSCRIPTIONS = "too_many_subscriptions"
    RATE_LIMITED = "rate_limited"
    INTERNAL = "internal"


# -- from clients ---------------------------------------------------------------------------------------------------


class SeriesParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Whose candles: those of each pair, of one exchange (default: the first configured) and interval (1m to 1d)."""

    channel: Literal["candles"] = "candles"
    exchange: _Name | None = None
    pairs: _Pairs
    interval: _Name = "1m"


class SubscribeParams(SeriesParams, kw_only=True, forbid_unknown_fields=True):
    """What to begin with, and how much to send.

    ``snapshot``: that many of the newest candles first. ``cursors``, by pair: go on from there instead. ``max_rate``:
    updates a second and series; finals and corrections always come, and at once.
    """

    snapshot: Annotated[int, Meta(ge=0, le=MAX_SNAPSHOT)] = 1
    cursors: dict[_Name, _Cursor] = {}
    max_rate: Annotated[float, Meta(ge=0.1, le=1000)] | None = None


class Command(msgspec.Struct, kw_only=True, tag_field="method"):
    """A client's command; each of its answers carries ``id`` if it has one."""

    id: Id | None = None


class SubscribeCommand(Command, kw_only=True, tag="subscribe"):
    """Send the candles of these pairs from now on."""

    params: SubscribeParams


class UnsubscribeCommand(Command, kw_only=True, tag="unsubscribe"):
    """Send the candles of these pairs no more."""

    params: SeriesParams


class ListCommand(Command, kw_only=True, tag="list"):
    """Say what this connection is subscribed to."""


class PingCommand(Command, kw_only=True, tag="ping"):
    """Say that you are there, and what time it is."""


AnyCommand = SubscribeCommand | UnsubscribeCommand | ListCommand | PingCommand
METHODS: Final = ("subscribe", "unsubscribe", "list", "ping")


class Head(msgspec.Struct):
    """What is read of a command before anything else, so that an error can carry its ``id``."""

    id: Id | None = None


# -- answers to commands --------------------------------------------------------------------------------------------


class Fetch(msgspec.Struct):
    """What to fetch over REST: open times ``from`` to ``to``, both inclusive, Unix milliseconds."""

    exchange: str
    pair: str
    interval: str
    from_: int = msgspec.field(name="from")
    to: int


class Subscribed(msgspec.Struct, kw_only=True):
    """The series is subscribed; what comes next begins after ``cursor`` (null: not known yet).

    ``recovered`` is true if everything since the client's own cursor follows; ``fetch`` says what else is missing.
    """

    exchange: str
    pair: str
    interval: str
    cursor: str | None
    recovered: bool
    fetch: Fetch | UnsetType = UNSET


class SubscribeReply(msgspec.Struct, kw_only=True):
    """The answer to ``subscribe``, one for each pair."""

    id: Id | UnsetType = UNSET
    result: Subscribed


class Unsubscribed(msgspec.Struct):
    """The series is not subscribed, or not any more."""

    exchange: str
    pair: str
    interval: str


class UnsubscribeReply(msgspec.Struct, kw_only=True):
    """The answer to ``unsubscribe``, one for each pair."""

    id: Id | UnsetType = UNSET
    result: Unsubscribed


class Subscription(msgspec.Struct, kw_only=True):
    """One series that the connection is subscribed to by a JSON command."""

    channel: Literal["candles"] = "candles"
    exchange: str
    pair: str
    interval: str
    max_rate: float | UnsetType = UNSET


class Subscriptions(msgspec.Struct):
    """What the connection is subscribed to."""

    subscriptions: list[Subscription]


class ListReply(msgspec.Struct, kw_only=True):
    """The answer to ``list``."""

    id: Id | UnsetType = UNSET
    result: Subscriptions


class Pong(msgspec.Struct):
    """The server's time, Unix milliseconds."""

    time: int


class PingReply(msgspec.Struct, kw_only=True):
    """The answer to ``ping``."""

    id: Id | UnsetType = UNSET
    result: Pong


class Error(msgspec.Struct, kw_only=True):
    """What is wrong: ``code`` for programs, ``message`` for people."""

    code: ErrorCode
    message: str
    pair: str | UnsetType = UNSET


class ErrorReply(msgspec.Struct, kw_only=True):
    """The answer to what cannot be served."""

    id: Id | UnsetType = UNSET
    error: Error


# -- what comes by itself -------------------------------------------------------------------------------------------


class CandleBody(msgspec.Struct, gc=False):
    """A candle within a series; the highest ``rev`` per ``timestamp`` (open time, Unix milliseconds) is the truth.

    ``minutes``: of how many of its minutes a candle of 5m to 1d is made; not in candles of 1m.
    """

    timestamp: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    state: Literal["partial", "open", "provisional", "final", "corrected"]
    rev: int
    minutes: Annotated[int, Meta(ge=1, le=Interval.D1.minutes)] | UnsetType = UNSET


class CandleMessage(msgspec.Struct, kw_only=True):
    """A candle that changed. Everything up to ``cursor`` has been sent."""

    type: Literal["candle"] = "candle"
    exchange: str
    pair: str
    interval: str
    cursor: str | None
    candle: CandleBody


class SnapshotMessage(msgspec.Struct, kw_only=True):
    """The newest candles, oldest first. ``truncated``: the store did not answer, older ones are missing."""

    type: Literal["snapshot"] = "snapshot"
    exchange: str
    pair: str
    interval: str
    cursor: str | None
    candles: list[CandleBody]
    truncated: Literal[True] | UnsetType = UNSET


class GapMessage(msgspec.Struct, kw_only=True):
    """Changes of this range may have been lost on the way here: fetch it over REST (both ends inclusive)."""

    type: Literal["gap"] = "gap"
    exchange: str
    pair: str
    interval: str
    from_: int = msgspec.field(name="from")
    to: int


class StatusMessage(msgspec.Struct, kw_only=True):
    """What is known of an exchange's feed, since when (Unix milliseconds; null: nothing has been heard of it)."""

    type: Literal["status"] = "status"
    exchange: str
    feed: Literal["live", "stale", "down"]
    since: int | None


class ShutdownMessage(msgspec.Struct, kw_only=True):
    """The server is about to stop: connect again after this time, another for each client."""

    type: Literal["shutdown"] = "shutdown"
    reconnect_after_ms: int


REPLIES: Final = (SubscribeReply, UnsubscribeReply, ListReply, PingReply, ErrorReply)
MESSAGES: Final = (CandleMessage, SnapshotMessage, GapMessage, StatusMessage, ShutdownMessage)

# Decimals go out as JSON numbers with the digits they have.
_encoder = msgspec.json.Encoder(decimal_format="number")


def encode(message: msgspec.Struct) -> bytes:
    """A frame's text."""
    return _encoder.encode(message)


def body(candle: Candle) -> CandleBody:
    """The part of a candle that its series does not say."""
    minutes = UNSET if candle.interval is Interval.M1 else candle.minutes
    return CandleBody(candle.timestamp, *candle.values, candle.state.value, candle.rev, minutes)


def names(series: Series) -> dict[str, Any]:
    """A series' fields, as every frame about it has them."""
    return {"exchange": series.exchange, "pair": series.pair, "interval": series.interval.value}


def error_reply(code: ErrorCode, message: str, *, id_: Id | UnsetType = UNSET, pair: str | UnsetType = UNSET) -> bytes:
    """An error's text."""
    return encode(ErrorReply(id=id_, error=Error(code=code, message=message, pair=pair)))
