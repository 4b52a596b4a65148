"""The market in Kraken's dialect, without a socket."""

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.simulator.clock import HOLD_MS, MINUTE_MS
from ingest.simulator.kraken import KrakenSession
from ingest.simulator.market import candle, updates
from ingest.simulator.session import Market
from ingest.simulator.spelling import rfc3339
from tests.conftest import MINUTE_MS as NOW_MS

FIRST_MINUTE_MS = NOW_MS - 60 * MINUTE_MS
HEARTBEAT = '{"channel":"heartbeat"}'


def request(*symbols: str, method: str = "subscribe", **params: object) -> bytes:
    return msgspec.json.encode(
        {"method": method, "params": {"channel": "ohlc", "symbol": symbols, "interval": 1, **params}, "req_id": 5}
    )


def parse(frame: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(frame, parse_float=Decimal)
    return parsed


def run(session: KrakenSession, until_ms: int) -> list[dict[str, Any]]:
    """All frames up to a wall time, asked for whenever the session says that one is due."""
    frames = []
    while (due_ms := session.next_due_ms()) is not None and due_ms <= until_ms:
        frames += session.due(due_ms, limit=1000)
    return [parse(frame) for frame in frames]


def opened(market: Market, now_ms: int = NOW_MS) -> KrakenSession:
    session = KrakenSession(market)
    session.opening(now_ms)
    return session


def values(row: dict[str, Any]) -> tuple[Decimal, ...]:
    return tuple(row[name] for name in ("open", "high", "low", "close", "volume"))


def test_opens_with_a_status_whose_connection_id_is_huge(market: Market) -> None:
    (frame,) = KrakenSession(market).opening(NOW_MS)

    status = parse(frame)
    assert (status["channel"], status["data"][0]["system"]) == ("status", "online")
    assert status["data"][0]["connection_id"] > 2**63


def test_answers_each_symbol_by_itself(market: Market) -> None:
    frames = opened(market).receive(request("BTC/USD", "XBT/USD", "BTCUSD", "ETH/USD"), NOW_MS)

    times = {"time_in": "2020-11-23T20:16:58.000000Z", "time_out": "2020-11-23T20:16:58.000000Z"}
    result = {
        "channel": "ohlc",
        "interval": 1,
        "symbol": "BTC/USD",
        "snapshot": True,
        "warnings": ["timestamp is deprecated, use interval_begin"],
    }
    refusal = {"method": "subscribe", "success": False, "req_id": 5}
    assert [parse(frame) for frame in frames] == [
        {"method": "subscribe", "result": result, "success": True, "req_id": 5, **times},
        {**refusal, "error": "Currency pair not supported XBT/USD", "symbol": "XBT/USD", **times},
        {**refusal, "error": "Currency pair not in ISO 4217-A3 format BTCUSD", "symbol": "BTCUSD", **times},
        {"method": "subscribe", "result": {**result, "symbol": "ETH/USD"}, "success": True, "req_id": 5, **times},
    ]


def test_a_first_subscription_sees_every_update_of_the_first_minutes(market: Market) -> None:
    session = opened(market)
    session.receive(request("BTC/USD"), NOW_MS)

    frames = run(session, NOW_MS + HOLD_MS + 3 * 1000)

    rows = [frame["data"][0] for frame in frames if frame["channel"] == "ohlc"]
    assert [(row["interval_begin"], values(row)) for row in rows][:24] == [
        (rfc3339(FIRST_MINUTE_MS + number * MINUTE_MS, 9), update.values)
        for number in range(2)
        for update in updates(1, "BTC-USD", FIRST_MINUTE_MS + number * MINUTE_MS, 12)
    ]


def test_a_row_says_when_its_interval_ends(market: Market) -> None:
    session = opened(market)
    session.receive(request("BTC/USD"), NOW_MS)

    row = next(frame for frame in run(session, NOW_MS + 1000) if frame["channel"] == "ohlc")["data"][0]

    assert (row["interval_begin"], row["timestamp"]) == (
        "2020-11-23T20:17:00.000000000Z",
        "2020-11-23T20:18:00.000000Z",
    )


def test_a_later_subscription_gets_a_snapshot_without_silent_minutes(market: Market) -> None:
    opened(market).receive(request("BTC/USD"), NOW_MS)
    later_ms = NOW_MS + 200 * MINUTE_MS + 30_000
    held = [(number, candle(1, "BTC-USD", NOW_MS + number * MINUTE_MS)) for number in range(189, 200)]

    _, frame = opened(market, later_ms).receive(request("BTC/USD"), later_ms)

    snapshot = parse(frame)
    open_time = later_ms - 30_000
    running = [each for each in updates(1, "BTC-USD", open_time, 12) if each.offset_ms <= 30_000][-1]
    assert (snapshot["type"], snapshot["timestamp"]) == ("snapshot", rfc3339(later_ms, 9))
    assert [(row["interval_begin"], values(row)) for row in snapshot["data"]] == [
        *((rfc3339(NOW_MS + number * MINUTE_MS, 9), final) for number, final in held if final is not None),
        (rfc3339(open_time, 9), running.values),
    ]


def test_a_snapshot_does_not_reach_back_before_the_market_began(market: Market) -> None:
    opened(market).receive(request("BTC/USD"), NOW_MS)
    later_ms = NOW_MS + HOLD_MS + 2_500

    _, frame = opened(market, later_ms).receive(request("BTC/USD"), later_ms)

    assert next(row["interval_begin"] for row in parse(frame)["data"]) == rfc3339(FIRST_MINUTE_MS, 9)


def test_updates_go_on_where_the_snapshot_ended(market: Market) -> None:
    opened(market).receive(request("BTC/USD"), NOW_MS)
    later_ms = NOW_MS + 200 * MINUTE_MS + 30_000
    session = opened(market, later_ms)
    session.receive(request("BTC/USD"), later_ms)

    rows = [frame["data"][0] for frame in run(session, later_ms + 29_999) if frame["channel"] == "ohlc"]

    path = updates(1, "BTC-USD", later_ms - 30_000, 12)
    assert [values(row) for row in rows] == [each.values for each in path if each.offset_ms > 30_000]


def test_without_a_snapshot_there_is_only_the_answer(market: Market) -> None:
    opened(market).receive(request("BTC/USD"), NOW_MS)
    later_ms = NOW_MS + 200 * MINUTE_MS

    (frame,) = opened(market, later_ms).receive(request("BTC/USD", snapshot=False), later_ms)

    assert parse(frame)["result"]["snapshot"] is False


def test_beats_each_second_that_has_nothing_else(market: Market) -> None:
    session = opened(market)
    session.receive(request("LUNA/USD"), NOW_MS)

    assert [session.due(NOW_MS + ms, limit=10) for ms in (999, 1000, 1999, 2000)] == [[], [HEARTBEAT], [], [HEARTBEAT]]


def test_does_not_beat_without_a_subscription(market: Market) -> None:
    assert opened(market).due(NOW_MS + 30_000, limit=10) == []


def test_sends_a_client_away_that_says_nothing_for_a_minute(market: Market) -> None:
    session = opened(market)
    assert session.next_due_ms() == NOW_MS + 60_000

    assert (session.expired(NOW_MS + 59_999), session.expired(NOW_MS + 60_000)) == (False, True)
    session.receive(request("BTC/USD"), NOW_MS + 59_999)
    assert session.expired(NOW_MS + 600_000) is False


def test_answers_a_ping(market: Market) -> None:
    (frame,) = opened(market).receive('{"method":"ping","req_id":7}', NOW_MS)

    pong = parse(frame)
    assert (pong["method"], pong["req_id"], pong["success"]) == ("pong", 7, True)


def test_the_time_of_a_reply_does_not_pass_updates_that_are_still_due(market: Market) -> None:
    session = opened(market)
    session.receive(request("BTC/USD"), NOW_MS)
    first = updates(1, "BTC-USD", FIRST_MINUTE_MS, 12)[0]

    (frame,) = session.receive('{"method":"ping"}', NOW_MS + 10_000)

    assert parse(frame)["time_out"] == rfc3339(FIRST_MINUTE_MS + first.offset_ms - 1, 6)


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("{", "Malformed request"),
        ('{"method":"dance"}', "Method not supported"),
        ('{"method":"subscribe"}', "Symbol(s) not found"),
        (request("BTC/USD", channel="weather"), "Channel not supported"),
        (request("BTC/USD", interval=7), "Interval not supported"),
        (request("BTC/USD", method="unsubscribe"), "Subscription Not Found"),
    ],
)
def test_refuses_what_it_cannot_do(market: Market, message: str | bytes, error: str) -> None:
    (frame,) = opened(market).receive(message, NOW_MS)

    assert (parse(frame)["error"], parse(frame)["success"]) == (error, False)


def test_refuses_a_second_subscription_and_goes_on_with_the_first(market: Market) -> None:
    session = opened(market)
    session.receive(request("BTC/USD"), NOW_MS)

    (frame,) = session.receive(request("BTC/USD"), NOW_MS)

    assert parse(frame)["error"] == "Already subscribed"
    assert len([each for each in run(session, NOW_MS + 1_200) if each["channel"] == "ohlc"]) == 12


def test_an_unsubscribed_symbol_is_silent(market: Market) -> None:
    session = opened(market)
    session.receive(request("BTC/USD"), NOW_MS)

    (frame,) = session.receive(request("BTC/USD", method="unsubscribe"), NOW_MS)

    assert parse(frame)["result"] == {"channel": "ohlc", "interval": 1, "symbol": "BTC/USD"}
    assert session.due(NOW_MS + 30_000, limit=100) == []


words = st.sampled_from(["subscribe", "ping", "ohlc", "BTC/USD", "LUNA/USD", 1, 2**64 - 1, None, 1.5, ["BTC/USD", 3]])
params = st.dictionaries(st.sampled_from(["channel", "symbol", "interval", "snapshot"]), words)
requests = st.dictionaries(st.sampled_from(["method", "params", "req_id"]), words | params).map(msgspec.json.encode)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(requests | st.binary(max_size=30) | st.text(max_size=30), max_size=12))
def test_whatever_a_client_sends_is_answered(market: Market, messages: list[str | bytes]) -> None:
    session = opened(market)

    replies = [session.receive(message, NOW_MS) for message in messages]

    assert all(isinstance(parse(frame), dict) for frames in replies for frame in frames)
    assert all(replies)
