"""The clients' protocol, sans I/O: a frame in, replies and changes of subscriptions out.

The line protocol: ``subscribe,BTC-USD`` and ``unsubscribe,BTC-USD``, several lines per frame if a client likes.
Nothing is acknowledged; a line that cannot be served is answered with an error, and the connection stays open.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from ingest.candle import PAIR_PATTERN, Interval, Series
from web.catalogue import Catalogue
from web.ws.limits import TokenBucket

#: RFC 6455, section 7.4.1: the peer violated a policy.
POLICY_VIOLATION: Final = 1008
#: A client is closed at this many points. A frame that cannot be read costs ten, so ten such frames in a row; one
#: that came too fast costs one, because a client in a hurry is not a broken client. A good frame forgives.
PENALTY_LIMIT: Final = 100
PENALTY_BAD_FRAME: Final = 10
PENALTY_TOO_FAST: Final = 1
#: How much of what a client sent an error repeats.
_SHOWN_CHARACTERS = 60

_EXAMPLE = "subscribe,BTC-USD"


class ErrorCode(StrEnum):
    """What an error is, for programs."""

    BAD_JSON = "bad_json"
    BAD_REQUEST = "bad_request"
    UNKNOWN_PAIR = "unknown_pair"
    TOO_MANY_SUBSCRIPTIONS = "too_many_subscriptions"
    RATE_LIMITED = "rate_limited"


class Reply(NamedTuple):
    """A text frame for this client."""

    text: bytes


class Subscribe(NamedTuple):
    """The client wants this series, beginning with its newest candle; also if it has it already."""

    series: Series


class Unsubscribe(NamedTuple):
    """The client does not want this series any more."""

    series: Series


class Close(NamedTuple):
    """The connection must be closed; nothing after it counts."""

    code: int
    reason: str


Effect = Reply | Subscribe | Unsubscribe | Close


@dataclass(frozen=True, slots=True)
class ProtocolLimits:
    """What one client may do."""

    subscriptions: int
    commands_per_second: float
    burst: int


class Session:
    """What the server knows of one client's wishes.

    Args:
        catalogue: Gives what is known at the moment.
        limits: What the client may do.
        now: Seconds of a monotonic clock, at the connection's start.
    """

    def __init__(self, catalogue: Callable[[], Catalogue], limits: ProtocolLimits, now: float) -> None:
        self._catalogue, self._limits = catalogue, limits
        self._bucket = TokenBucket(limits.commands_per_second, limits.burst, now)
        self._penalty = 0
        self.subscriptions: set[Series] = set()

    def receive(self, frame: str | bytes, now: float) -> list[Effect]:
        """What follows from one frame. Total: whatever it holds, this does not raise.

        Args:
            frame: Text or binary payload.
            now: Seconds of a monotonic clock.
        """
        if not self._bucket.take(now):
            most = f"{self._limits.commands_per_second:g} commands a second"
            return self._punish(
                PENALTY_TOO_FAST, ErrorCode.RATE_LIMITED, f"expected at most {most}; this one is ignored"
            )
        if isinstance(frame, bytes):
            return self._bad_frame(ErrorCode.BAD_REQUEST, f"expected a text frame such as {_EXAMPLE}, got a binary one")
        if frame.lstrip().startswith("{"):
            return self._receive_json(frame)
        return self._receive_lines([line for line in map(str.strip, frame.splitlines()) if line])

    def _receive_json(self, frame: str) -> list[Effect]:
        try:
            msgspec.json.decode(frame)
        except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
            return self._bad_frame(ErrorCode.BAD_JSON, f"expected JSON or a line such as {_EXAMPLE}")
        return self._bad_frame(
            ErrorCode.BAD_REQUEST, f"JSON commands are not available yet; expected a line such as {_EXAMPLE}"
        )

    def _receive_lines(self, lines: list[str]) -> list[Effect]:
        if not lines:
            return self._bad_frame(ErrorCode.BAD_REQUEST, f"expected a line such as {_EXAMPLE}, got an empty frame")
        # More could be meant for nothing but filling our memory with replies.
        if len(lines) > self._limits.subscriptions:
            most = f"at most {self._limits.subscriptions} lines in a frame"
            return self._bad_frame(ErrorCode.BAD_REQUEST, f"expected {most}, got {len(lines)}")
        effects: list[Effect] = []
        for line in lines:
            effects += self._receive_line(line)
            if isinstance(effects[-1] if effects else None, Close):
                break
        return effects

    def _receive_line(self, line: str) -> list[Effect]:
        command, _, argument = (part.strip() for part in line.partition(","))
        if command not in ("subscribe", "unsubscribe"):
            got = f"expected subscribe,PAIR or unsubscribe,PAIR, got {_shown(line)}"
            return self._bad_frame(ErrorCode.BAD_REQUEST, got)
        self._penalty = 0
        catalogue = self._catalogue()
        exchange = catalogue.default_exchange
        # The pattern first: only what can be a pair is looked up.
        if not PAIR_PATTERN.match(argument) or not catalogue.knows_pair(exchange, argument):
            message = f"{_shown(argument)} is not a pair of {exchange}; expected one such as BTC-USD"
            return [_error(ErrorCode.UNKNOWN_PAIR, message)]
        series = Series(exchange, argument, Interval.M1)
        return self._subscribe(series) if command == "subscribe" else self._unsubscribe(series)

    def _subscribe(self, series: Series) -> list[Effect]:
        if series not in self.subscriptions and len(self.subscriptions) >= self._limits.subscriptions:
            message = f"{series.pair} is one too many: expected at most {self._limits.subscriptions} subscriptions"
            return [_error(ErrorCode.TOO_MANY_SUBSCRIPTIONS, message)]
        self.subscriptions.add(series)
        return [Subscribe(series)]

    def _unsubscribe(self, series: Series) -> list[Effect]:
        if series not in self.subscriptions:
            return []
        self.subscriptions.remove(series)
        return [Unsubscribe(series)]

    def _bad_frame(self, code: ErrorCode, message: str) -> list[Effect]:
        return self._punish(PENALTY_BAD_FRAME, code, message)

    def _punish(self, points: int, code: ErrorCode, message: str) -> list[Effect]:
        self._penalty += points
        if self._penalty < PENALTY_LIMIT:
            return [_error(code, message)]
        reason = "commands come too fast" if code is ErrorCode.RATE_LIMITED else "too many bad frames"
        return [_error(code, message), Close(POLICY_VIOLATION, reason)]


class _Error(msgspec.Struct):
    code: str
    message: str


class _ErrorFrame(msgspec.Struct):
    error: _Error


_encoder = msgspec.json.Encoder()


def _error(code: ErrorCode, message: str) -> Reply:
    return Reply(_encoder.encode(_ErrorFrame(_Error(code.value, message))))


def _shown(text: str) -> str:
    """What a client sent, shortened and in printable ASCII: it ends up on screens and in logs."""
    shown = text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
    return ascii(shown)
