"""JSON commands, sans I/O: a frame to a command, a command to what follows from it."""

from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from ingest.candle import PAIR_PATTERN, Interval, Series
from web.catalogue import Catalogue
from web.ws.effects import Effect, Open, Reply, Shut, Wish
from web.ws.messages import (
    METHODS,
    AnyCommand,
    ErrorCode,
    Head,
    Id,
    ListCommand,
    ListReply,
    PingCommand,
    PingReply,
    Pong,
    SeriesParams,
    SubscribeCommand,
    SubscribeParams,
    Subscription,
    Subscriptions,
    Unsubscribed,
    UnsubscribeReply,
    encode,
    error_reply,
    names,
)
from web.ws.quoting import reason, shown
from web.ws.wanted import Wanted

_EXAMPLE = '{"method":"subscribe","params":{"channel":"candles","pairs":["BTC-USD"]}}'

_INTERVALS: Final = {interval.value: interval for interval in Interval}

_head_decoder = msgspec.json.Decoder(Head)


class BadCommand(Exception):
    """Raised for a frame that is not a command; ``id`` is the frame's, if that could be read."""

    def __init__(self, code: ErrorCode, message: str, id_: Id | UnsetType = UNSET) -> None:
        super().__init__(code, message, id_)
        self.code, self.message, self.id = code, message, id_


def read_id(frame: str) -> Id | UnsetType:
    """The ``id`` of a frame, if it has one that can be read."""
    try:
        return _given(_head_decoder.decode(frame))
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return UNSET


def parse_command(frame: str) -> AnyCommand:
    """Read a command.

    Raises:
        BadCommand: If it is none.
    """
    value = _parse_json(frame)
    try:
        id_ = _given(msgspec.convert(value, Head))
    except msgspec.ValidationError as error:
        raise BadCommand(ErrorCode.BAD_REQUEST, reason(error)) from error
    method = value.get("method")
    if method not in METHODS:
        got = shown(method) if isinstance(method, str) else "none"
        raise BadCommand(ErrorCode.UNKNOWN_METHOD, f"expected a method of {', '.join(METHODS)}, got {got}", id_)
    try:
        command: AnyCommand = msgspec.convert(value, AnyCommand)
        return command
    except msgspec.ValidationError as error:
        raise BadCommand(ErrorCode.BAD_REQUEST, reason(error), id_) from error


def _parse_json(frame: str) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(frame)
    except msgspec.ValidationError as error:
        # JSON, but a number that is none of ours.
        raise BadCommand(ErrorCode.BAD_REQUEST, reason(error)) from error
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
        raise BadCommand(ErrorCode.BAD_JSON, f"expected JSON such as {_EXAMPLE}") from error
    # It begins with a brace.
    assert isinstance(value, dict)
    return value


def _given(head: Head) -> Id | UnsetType:
    return UNSET if head.id is None else head.id


def run_command(command: AnyCommand, catalogue: Catalogue, wanted: Wanted, unix_ms: Callable[[], int]) -> list[Effect]:
    """What follows from a command; ``wanted`` is changed, ``unix_ms`` asked for the time.

    Raises:
        BadCommand: If it names more pairs than a client may have.
    """
    id_ = UNSET if command.id is None else command.id
    if isinstance(command, PingCommand):
        return [Reply(encode(PingReply(id=id_, result=Pong(unix_ms()))))]
    if isinstance(command, ListCommand):
        return [Reply(encode(ListReply(id=id_, result=Subscriptions(_subscriptions(wanted)))))]
    if isinstance(command, SubscribeCommand):
        return _subscribe(id_, command.params, catalogue, wanted)
    return _unsubscribe(id_, command.params, catalogue, wanted)


def _subscribe(id_: Id | UnsetType, params: SubscribeParams, catalogue: Catalogue, wanted: Wanted) -> list[Effect]:
    known, effects = _known(id_, params, catalogue, wanted.most)
    wishes = []
    for series in known:
        if series not in wanted.channels and wanted.is_full:
            code = ErrorCode.TOO_MANY_SUBSCRIPTIONS
            effects.append(Reply(error_reply(code, wanted.too_many(series), id_=id_, pair=series.pair)))
            continue
        wanted.channels[series] = params.max_rate
        wishes.append(Wish(series, params.snapshot, params.cursors.get(series.pair), params.max_rate))
    return [*effects, Open(id_, tuple(wishes))] if wishes else effects


def _unsubscribe(id_: Id | UnsetType, params: SeriesParams, catalogue: Catalogue, wanted: Wanted) -> list[Effect]:
    known, effects = _known(id_, params, catalogue, wanted.most)
    for series in known:
        if series in wanted.channels:
            del wanted.channels[series]
            # First: nothing of the series comes after the answer.
            effects.append(Shut(series))
        effects.append(Reply(encode(UnsubscribeReply(id=id_, result=Unsubscribed(**names(series))))))
    return effects


def _known(
    id_: Id | UnsetType, params: SeriesParams, catalogue: Catalogue, most: int
) -> tuple[list[Series], list[Effect]]:
    """The series that are meant, and the answers for those that there are not."""
    # More could be meant for nothing but filling our memory with replies.
    if len(params.pairs) > most:
        message = f"expected at most {most} pairs in a command, got {len(params.pairs)}"
        raise BadCommand(ErrorCode.BAD_REQUEST, message, id_)
    exchange = catalogue.default_exchange if params.exchange is None else params.exchange
    known: list[Series] = []
    effects: list[Effect] = []
    for pair in dict.fromkeys(params.pairs):
        series = _look_up(exchange, pair, params.interval, catalogue)
        if isinstance(series, Series):
            known.append(series)
        else:
            code, message = series
            effects.append(Reply(error_reply(code, message, id_=id_, pair=pair)))
    return known, effects


def _look_up(exchange: str, pair: str, interval: str, catalogue: Catalogue) -> Series | tuple[ErrorCode, str]:
    if not catalogue.knows_exchange(exchange):
        return ErrorCode.UNKNOWN_EXCHANGE, f"{shown(exchange)} is not an exchange that is followed"
    # The pattern first: only what can be a pair is looked up.
    if not PAIR_PATTERN.match(pair) or not catalogue.knows_pair(exchange, pair):
        return ErrorCode.UNKNOWN_PAIR, f"{shown(pair)} is not a pair of {exchange}; expected one such as BTC-USD"
    # Every pair has candles of every interval, or will have them: the larger ones are made of its minutes.
    if interval not in _INTERVALS:
        message = f"{shown(interval)} is not an interval; expected one of {', '.join(_INTERVALS)}"
        return ErrorCode.UNKNOWN_INTERVAL, message
    return Series(exchange, pair, _INTERVALS[interval])


def _subscriptions(wanted: Wanted) -> list[Subscription]:
    return [
        Subscription(**names(series), max_rate=UNSET if max_rate is None else max_rate)
        for series, max_rate in sorted(wanted.channels.items())
    ]
