"""The clients' protocol, sans I/O: a frame in, replies and changes of subscriptions out.

The line protocol: ``subscribe,BTC-USD`` and ``unsubscribe,BTC-USD``, several lines per frame if a client likes.
Nothing is acknowledged; a line that cannot be served is answered with an error, and the connection stays open.

The JSON protocol: any frame that begins with ``{``; what a command means is in `web.ws.commands`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from msgspec import UNSET, UnsetType

from ingest.candle import PAIR_PATTERN, Interval, Series
from ingest.clock import SystemClock, now_ms
from web.catalogue import Catalogue
from web.ws.commands import BadCommand, parse_command, read_id, run_command
from web.ws.effects import Close, Effect, Reply, Subscribe, Unsubscribe
from web.ws.limits import TokenBucket
from web.ws.messages import ErrorCode, Id, error_reply
from web.ws.quoting import shown
from web.ws.wanted import Wanted

#: RFC 6455, section 7.4.1: the peer violated a policy.
POLICY_VIOLATION: Final = 1008
#: What a frame costs; a client is closed at the price of so many bad ones in a row. One that came too fast costs less,
#: because a client in a hurry is not a broken client. A good frame forgives.
PENALTY_BAD_FRAME: Final = 10
PENALTY_TOO_FAST: Final = 1

_EXAMPLE = "subscribe,BTC-USD"
_clock: Final = SystemClock()


@dataclass(frozen=True, slots=True)
class ProtocolLimits:
    """What one client may do."""

    subscriptions: int
    commands_per_second: float
    burst: int
    bad_frames: int


class Session:
    """What the server knows of one client's wishes.

    Args:
        catalogue: Gives what is known at the moment.
        limits: What the client may do.
        now: Seconds of a monotonic clock, at the connection's start.
        unix_ms: Gives the time, Unix milliseconds.
    """

    def __init__(
        self,
        catalogue: Callable[[], Catalogue],
        limits: ProtocolLimits,
        now: float,
        unix_ms: Callable[[], int] = lambda: now_ms(_clock),
    ) -> None:
        self._catalogue, self._limits, self._unix_ms = catalogue, limits, unix_ms
        self._bucket = TokenBucket(limits.commands_per_second, limits.burst, now)
        self._penalty = 0
        self.wanted = Wanted(limits.subscriptions)
        #: Whether a JSON command was understood: such a client understands frames that it did not ask for.
        self.speaks_json = False

    def receive(self, frame: str | bytes, now: float) -> list[Effect]:
        """What follows from one frame. Total: whatever it holds, this does not raise.

        Args:
            frame: Text or binary payload.
            now: Seconds of a monotonic clock.
        """
        is_json = isinstance(frame, str) and frame.lstrip().startswith("{")
        if not self._bucket.take(now):
            most = f"{self._limits.commands_per_second:g} commands a second"
            id_ = read_id(frame) if is_json and isinstance(frame, str) else UNSET
            return self._punish(
                PENALTY_TOO_FAST, ErrorCode.RATE_LIMITED, f"expected at most {most}; this one is ignored", id_
            )
        if isinstance(frame, bytes):
            return self._bad_frame(ErrorCode.BAD_REQUEST, f"expected a text frame such as {_EXAMPLE}, got a binary one")
        if is_json:
            return self._receive_json(frame)
        return self._receive_lines([line for line in map(str.strip, frame.splitlines()) if line])

    def _receive_json(self, frame: str) -> list[Effect]:
        try:
            effects = run_command(parse_command(frame), self._catalogue(), self.wanted, self._unix_ms)
        except BadCommand as error:
            return self._punish(PENALTY_BAD_FRAME, error.code, error.message, error.id)
        self._penalty = 0
        self.speaks_json = True
        return effects

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
            got = f"expected subscribe,PAIR or unsubscribe,PAIR, got {shown(line)}"
            return self._bad_frame(ErrorCode.BAD_REQUEST, got)
        self._penalty = 0
        catalogue = self._catalogue()
        exchange = catalogue.default_exchange
        # The pattern first: only what can be a pair is looked up.
        if not PAIR_PATTERN.match(argument) or not catalogue.knows_pair(exchange, argument):
            message = f"{shown(argument)} is not a pair of {exchange}; expected one such as BTC-USD"
            return [Reply(error_reply(ErrorCode.UNKNOWN_PAIR, message))]
        series = Series(exchange, argument, Interval.M1)
        return self._subscribe(series) if command == "subscribe" else self._unsubscribe(series)

    def _subscribe(self, series: Series) -> list[Effect]:
        if series not in self.wanted.lines and self.wanted.is_full:
            return [Reply(error_reply(ErrorCode.TOO_MANY_SUBSCRIPTIONS, self.wanted.too_many(series)))]
        self.wanted.lines.add(series)
        return [Subscribe(series)]

    def _unsubscribe(self, series: Series) -> list[Effect]:
        if series not in self.wanted.lines:
            return []
        self.wanted.lines.remove(series)
        return [Unsubscribe(series)]

    def _bad_frame(self, code: ErrorCode, message: str) -> list[Effect]:
        return self._punish(PENALTY_BAD_FRAME, code, message)

    def _punish(self, points: int, code: ErrorCode, message: str, id_: Id | UnsetType = UNSET) -> list[Effect]:
        self._penalty += points
        answer = Reply(error_reply(code, message, id_=id_))
        if self._penalty < PENALTY_BAD_FRAME * self._limits.bad_frames:
            return [answer]
        reason = "commands come too fast" if code is ErrorCode.RATE_LIMITED else "too many bad frames"
        return [answer, Close(POLICY_VIOLATION, reason)]
