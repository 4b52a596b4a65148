"""The JSON protocol from the client's side: what is sent on each connection, and what frames mean."""

import json
from decimal import Decimal
from typing import Any

import pytest

from ingest.candle import Candle
from tests.conftest import make_candle, minute
from web.client.errors import NotUnderstood
from web.client.session import PAIRS_PER_COMMAND, Denied, Feed, Heard, Leaving, Missed, Session, Subscribed
from web.ws.messages import CandleMessage, ErrorCode, SnapshotMessage, body, encode, error_reply

SERIES: dict[str, Any] = {"exchange": "sim", "pair": "BTC-USD", "interval": "1m"}


def session() -> Session:
    return Session(["BTC-USD"], None, "1m")


def reply(*, recovered: bool = False, fetch: dict[str, Any] | None = None) -> str:
    result = SERIES | {"cursor": "a:7", "recovered": recovered} | ({} if fetch is None else {"fetch": fetch})
    return json.dumps({"id": 1, "result": result})


def told(candle: Candle, cursor: str | None = "a:8") -> bytes:
    return encode(CandleMessage(**SERIES, cursor=cursor, candle=body(candle)))


def snapshot(cursor: str | None, *candles: Candle) -> bytes:
    return encode(SnapshotMessage(**SERIES, cursor=cursor, candles=[*map(body, candles)]))


def params(made: Session) -> dict[str, Any]:
    (command,) = map(json.loads, made.commands())
    assert command["method"] == "subscribe"
    result: dict[str, Any] = command["params"]
    return result


def test_the_first_connection_begins_with_the_newest_candle() -> None:
    made = Session(["BTC-USD", "ETH-USD", "BTC-USD"], "sim", "5m")

    assert params(made) == {"pairs": ["BTC-USD", "ETH-USD"], "interval": "5m", "snapshot": 1, "exchange": "sim"}


def test_who_comes_back_asks_for_as_many_as_may_have_changed() -> None:
    made = Session(["BTC-USD"], None, "1m", snapshot=3, again=500)
    first = params(made)["snapshot"]
    made.receive(reply())

    assert (first, params(made)["snapshot"]) == (3, 500)


def test_frames_become_whole_candles_with_every_digit() -> None:
    made, candle = session(), make_candle(close=Decimal("18382.060"))

    heard = [made.receive(snapshot("a:7", candle)), made.receive(told(candle))]

    assert heard == [[Heard("BTC-USD", [candle], is_snapshot)] for is_snapshot in (True, False)]
    assert [str(each.close) for each in (*heard[0][0].candles,)] == ["18382.060"]  # type: ignore[union-attr]


def test_the_next_connection_goes_on_from_the_last_frame() -> None:
    made = session()
    for frame in (reply(), snapshot("a:7", make_candle()), told(make_candle(), "a:8"), told(make_candle(), None)):
        made.receive(frame)

    assert params(made)["cursors"] == {"BTC-USD": "a:8"}


def test_a_connection_that_broke_before_the_snapshot_came_does_not_go_on_from_the_answer() -> None:
    made = session()
    made.receive(told(make_candle(), "a:8"))
    made.receive(reply(recovered=False))

    assert "cursors" not in params(made)


@pytest.mark.parametrize(
    ("frame", "missed"),
    [
        (reply(recovered=True), []),
        (reply(fetch=SERIES | {"from": minute(-9), "to": minute(0)}), [Missed("BTC-USD", minute(-9), minute(0))]),
        (reply(), [Missed("BTC-USD", 0, None)]),
    ],
)
def test_what_a_new_connection_could_not_recover_was_missed(frame: str, missed: list[Missed]) -> None:
    made = session()
    first = made.receive(reply())

    again = made.receive(frame)

    assert (first, again) == ([Subscribed("BTC-USD")], [Subscribed("BTC-USD"), *missed])


@pytest.mark.parametrize(
    ("frame", "event"),
    [
        ({"type": "gap", **SERIES, "from": 60_000, "to": 120_000}, Missed("BTC-USD", 60_000, 120_000)),
        ({"type": "shutdown", "reconnect_after_ms": 1500}, Leaving(1.5)),
        ({"type": "status", "exchange": "sim", "feed": "stale", "since": None}, Feed("sim", "stale")),
    ],
)
def test_what_the_server_says_by_itself(frame: dict[str, Any], event: object) -> None:
    assert session().receive(json.dumps(frame)) == [event]


def test_a_frame_of_a_later_server_is_passed_over() -> None:
    assert session().receive('{"type":"weather","sun":true}') == []


@pytest.mark.parametrize("frame", ["subscribe", "[]", '{"type":"candle","candle":{}}', b"\xff"])
def test_what_is_not_this_protocol_is_said_to_be_so(frame: str | bytes) -> None:
    with pytest.raises(NotUnderstood, match="the answer of the WebSocket server cannot be read"):
        session().receive(frame)


@pytest.mark.parametrize(
    ("code", "served_before", "for_good"),
    [
        (ErrorCode.UNKNOWN_PAIR, False, True),
        (ErrorCode.UNKNOWN_PAIR, True, False),
        (ErrorCode.RATE_LIMITED, False, False),
    ],
)
def test_a_refusal_is_for_good_unless_it_passes_or_was_served_before(
    code: ErrorCode, served_before: bool, for_good: bool
) -> None:
    made = session()
    if served_before:
        made.receive(reply())

    assert made.receive(error_reply(code, "no", pair="BTC-USD")) == [Denied(code.value, "no", for_good)]


def test_many_pairs_with_their_cursors_fit_into_frames_that_the_server_takes() -> None:
    pairs = [f"{'A' * 17}{number:03d}-{'B' * 20}" for number in range(200)]
    made = Session(pairs, "sim", "1m")
    for pair in pairs:
        made.receive(encode(SnapshotMessage(**SERIES | {"pair": pair}, cursor="c" * 50, candles=[])))

    commands = made.commands()

    assert len(commands) == len(pairs) / PAIRS_PER_COMMAND
    assert max(map(len, commands)) < 16_384
    assert [pair for command in commands for pair in json.loads(command)["params"]["pairs"]] == pairs
