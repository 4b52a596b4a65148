"""The JSON protocol as a client speaks it, sans I/O: frames in, what follows from them out.

One session lives as long as a stream does, over any number of connections, and knows from which place each pair goes
on. The frames are those of `web.ws.messages`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from ingest.candle import Candle, Interval, State
from web.client.errors import NotUnderstood
from web.ws.messages import CandleBody, Error, Fetch

#: Pairs in one command: with their cursors they must fit into a frame that the server takes.
PAIRS_PER_COMMAND: Final = 50


@dataclass(frozen=True, slots=True)
class Heard:
    """Versions of candles of one pair: changes, or in a snapshot what holds now."""

    pair: str
    candles: list[Candle]
    is_snapshot: bool = False


@dataclass(frozen=True, slots=True)
class Subscribed:
    """From now on changes of the pair come."""

    pair: str


@dataclass(frozen=True, slots=True)
class Missed:
    """What opens in this range (Unix milliseconds, inclusive) may have changed unheard; None: up to now."""

    pair: str
    since_ms: int
    until_ms: int | None


@dataclass(frozen=True, slots=True)
class Feed:
    """How an exchange's feed is: ``live``, ``stale`` or ``down``."""

    exchange: str
    state: str


@dataclass(frozen=True, slots=True)
class Leaving:
    """The server stops soon, and wants this client back after so many seconds."""

    after_seconds: float


@dataclass(frozen=True, slots=True)
class Denied:
    """The server does not do what was asked. ``for_good``: nor will it when asked again."""

    code: str
    message: str
    for_good: bool


Event = Heard | Subscribed | Missed | Feed | Leaving | Denied

#: What the server says when it cannot at the moment.
_PASSING: Final = frozenset({"rate_limited", "internal"})


class _Result(msgspec.Struct):
    pair: str | None = None
    recovered: bool = False
    fetch: Fetch | None = None


class _Frame(msgspec.Struct):
    """Every frame that a client understands; a type that it does not know is none of its business."""

    type: str | None = None
    exchange: str = ""
    pair: str = ""
    interval: Interval = Interval.M1
    cursor: str | None = None
    candle: CandleBody | None = None
    candles: list[CandleBody] = []
    from_: int = msgspec.field(name="from", default=0)
    to: int | None = None
    feed: str = ""
    reconnect_after_ms: int = 0
    result: _Result | None = None
    error: Error | None = None


_decoder = msgspec.json.Decoder(_Frame)


class Session:
    """A client's subscriptions.

    Args:
        pairs: Which pairs.
        exchange: Whose; None: the server's first.
        interval: How long the candles last.
        snapshot: How many of the newest candles the first subscription of a pair begins with.
        again: And a later one, if it cannot go on where it was.
    """

    def __init__(
        self, pairs: Sequence[str], exchange: str | None, interval: str, *, snapshot: int = 1, again: int = 1
    ) -> None:
        self._snapshot, self._snapshot_again = snapshot, again
        self._pairs, self._exchange, self._interval = tuple(dict.fromkeys(pairs)), exchange, interval
        self._cursors: dict[str, str] = {}
        self._once_subscribed: set[str] = set()

    def commands(self) -> list[str]:
        """What to send on a new connection: each pair goes on where it was."""
        return [self._subscribe(self._pairs[at : at + PAIRS_PER_COMMAND]) for at in self._commands_at()]

    def receive(self, frame: str | bytes) -> list[Event]:
        """What follows from a frame.

        Raises:
            NotUnderstood: If it is not one of this protocol.
        """
        try:
            message = _decoder.decode(frame)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise NotUnderstood("the WebSocket server", str(error)) from error
        if message.error is not None:
            return [self._denied(message.error)]
        if message.result is not None:
            return self._subscribed(message.result)
        return self._told(message)

    def _commands_at(self) -> range:
        return range(0, len(self._pairs), PAIRS_PER_COMMAND)

    def _subscribe(self, pairs: Sequence[str]) -> str:
        snapshot = self._snapshot if self._once_subscribed.isdisjoint(pairs) else self._snapshot_again
        params: dict[str, Any] = {"pairs": pairs, "interval": self._interval, "snapshot": snapshot}
        if self._exchange is not None:
            params["exchange"] = self._exchange
        cursors = {pair: self._cursors[pair] for pair in pairs if pair in self._cursors}
        if cursors:
            params["cursors"] = cursors
        return json.dumps({"id": 1, "method": "subscribe", "params": params}, separators=(",", ":"))

    def _subscribed(self, result: _Result) -> list[Event]:
        if result.pair is None:
            return []
        pair, is_first = result.pair, result.pair not in self._once_subscribed
        self._once_subscribed.add(pair)
        events: list[Event] = [Subscribed(pair)]
        if result.recovered:
            return events
        # The new cursor is taken from the snapshot that follows: if the connection broke before it came, going on from
        # here would leave it out.
        self._cursors.pop(pair, None)
        if result.fetch is not None:
            events.append(Missed(pair, result.fetch.from_, result.fetch.to))
        elif not is_first:
            events.append(Missed(pair, 0, None))
        return events

    def _told(self, message: _Frame) -> list[Event]:
        match message.type:
            case "candle" | "snapshot":
                bodies = message.candles if message.candle is None else [message.candle]
                if message.cursor is not None:
                    self._cursors[message.pair] = message.cursor
                return [Heard(message.pair, [_candle(message, body) for body in bodies], message.type == "snapshot")]
            case "gap":
                return [Missed(message.pair, message.from_, message.to)]
            case "status":
                return [Feed(message.exchange, message.feed)]
            case "shutdown":
                return [Leaving(message.reconnect_after_ms / 1000)]
        return []

    def _denied(self, error: Error) -> Denied:
        pair = error.pair if isinstance(error.pair, str) else None
        # What was served once is known: a server that has just started may not have read its store yet.
        known = pair in self._once_subscribed if pair else bool(self._once_subscribed)
        return Denied(error.code.value, error.message, for_good=error.code not in _PASSING and not known)


def _candle(message: _Frame, body: CandleBody) -> Candle:
    return Candle(
        message.exchange,
        message.pair,
        message.interval,
        body.timestamp,
        body.open,
        body.high,
        body.low,
        body.close,
        body.volume,
        State(body.state),
        body.rev,
        body.minutes if isinstance(body.minutes, int) else 1,
    )
