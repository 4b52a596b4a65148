"""The market in Blockchain.com's dialect, without a socket."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.simulator.blockchain import MAX_MESSAGES, BlockchainSession, refuse_upgrade
from ingest.simulator.clock import HOLD_MS, MINUTE_MS
from ingest.simulator.market import updates
from ingest.simulator.session import Market
from tests.conftest import MINUTE_MS as NOW_MS

#: The market of the fixture begins an hour before its first subscription.
FIRST_MINUTE_MS = NOW_MS - 60 * MINUTE_MS
BTC = '{"action":"subscribe","channel":"prices","symbol":"BTC-USD","granularity":60}'
HEARTBEAT = '{"action":"subscribe","channel":"heartbeat"}'
THROTTLED = '{"event":"rejected","text":"Connection throttling enabled, your messages will be ignored."}'


def parse(frame: str) -> dict[str, Any]:
    import json

    parsed: dict[str, Any] = json.loads(frame, parse_float=Decimal)
    return parsed


def run(session: BlockchainSession, until_ms: int) -> list[str]:
    """All frames up to a wall time, asked for whenever the session says that one is due."""
    frames = []
    while (due_ms := session.next_due_ms()) is not None and due_ms <= until_ms:
        frames += session.due(due_ms, limit=1000)
    return frames


@pytest.fixture
def session(market: Market) -> BlockchainSession:
    return BlockchainSession(market)


@pytest.mark.parametrize(
    ("origins", "body"),
    [
        ([], "Request is missing required HTTP header 'Origin'"),
        (["https://example.org"], "The value of HTTP header 'Origin' was malformed:\nInvalid Origin header"),
        (
            ["https://exchange.blockchain.com"] * 2,
            "The value of HTTP header 'Origin' was malformed:\nInvalid Origin header",
        ),
        (["https://exchange.blockchain.com"], None),
    ],
)
def test_refuses_an_upgrade_without_the_right_origin(origins: list[str], body: str | None) -> None:
    assert refuse_upgrade(origins) == body


def test_says_nothing_unasked(session: BlockchainSession) -> None:
    assert (session.opening(NOW_MS), session.next_due_ms(), session.due(NOW_MS + MINUTE_MS, 10)) == ([], None, [])


def test_acknowledges_with_the_granularity(session: BlockchainSession) -> None:
    assert session.receive(BTC, NOW_MS) == [
        '{"seqnum":0,"event":"subscribed","channel":"prices","symbol":"BTC-USD","granularity":60}'
    ]


def test_a_first_subscription_sees_every_update_of_the_first_minutes(session: BlockchainSession) -> None:
    session.receive(BTC, NOW_MS)

    frames = run(session, NOW_MS + HOLD_MS + 3 * 1000)

    sent = [parse(frame)["price"] for frame in frames]
    assert sent[:24] == [
        [FIRST_MINUTE_MS + number * MINUTE_MS, *update.values]
        for number in range(2)
        for update in updates(1, "BTC-USD", FIRST_MINUTE_MS + number * MINUTE_MS, 12)
    ]


def test_a_later_subscription_begins_two_seconds_after_with_the_running_candle(market: Market) -> None:
    BlockchainSession(market).receive(BTC, NOW_MS)
    caught_up_ms = NOW_MS + 10 * MINUTE_MS + 30_000
    session = BlockchainSession(market)

    session.receive(BTC, caught_up_ms)

    assert session.next_due_ms() == caught_up_ms + 2_000
    (frame,) = session.due(caught_up_ms + 2_000, limit=10)
    open_time = caught_up_ms // MINUTE_MS * MINUTE_MS
    path = updates(1, "BTC-USD", open_time, 12)
    standing = [update for update in path if open_time + update.offset_ms <= caught_up_ms + 2_000][-1]
    assert parse(frame)["price"] == [open_time, *standing.values]


def test_numbers_every_frame_across_channels(session: BlockchainSession) -> None:
    frames = session.receive(HEARTBEAT, NOW_MS) + session.receive(BTC, NOW_MS) + session.receive("{}", NOW_MS)
    frames += run(session, NOW_MS + 11_000)

    assert [parse(frame)["seqnum"] for frame in frames] == list(range(len(frames)))
    assert sum(parse(frame)["channel"] == "heartbeat" for frame in frames) == 3


def test_spells_small_sizes_in_scientific_notation(session: BlockchainSession) -> None:
    session.receive(BTC, NOW_MS)

    assert any("E-" in frame for frame in run(session, NOW_MS + 20_000))


def test_a_heartbeat_carries_market_time_and_follows_all_candles_before_it(session: BlockchainSession) -> None:
    session.receive(BTC, NOW_MS)
    session.receive(HEARTBEAT, NOW_MS)

    frames = run(session, NOW_MS + 5_000)

    # 4.8 s at sixty-fold speed, counted from two seconds before the first minute.
    assert parse(frames[-1])["timestamp"] == "2020-11-23T20:21:46.000000000Z"
    last = parse(frames[-2])["price"][0]
    assert last == FIRST_MINUTE_MS + 4 * MINUTE_MS


def test_missed_heartbeats_are_not_made_up_for(session: BlockchainSession) -> None:
    session.receive(HEARTBEAT, NOW_MS)

    assert len(session.due(NOW_MS + 60_000, limit=100)) == 1
    assert session.next_due_ms() == NOW_MS + 65_000


def test_what_is_due_is_handed_out_in_bounded_portions(session: BlockchainSession) -> None:
    session.receive(BTC, NOW_MS)
    late_ms = NOW_MS + 30_000

    portions = [session.due(late_ms, limit=100) for _ in range(3)]

    assert [len(portion) for portion in portions] == [100, 100, 100]
    assert session.next_due_ms() < late_ms  # type: ignore[operator]


@pytest.mark.parametrize(
    ("message", "channel", "text"),
    [
        ("{", "", "Invalid json received"),
        ("[1]", "", "Invalid json received"),
        ("{}", "", "Missing action"),
        ('{"action":"subscribe","channel":"weather"}', "weather", "Invalid channel"),
        ('{"action":"subscribe","channel":"prices","granularity":60}', "prices", "missing symbol field"),
    ],
)
def test_refuses_in_the_exchanges_words(session: BlockchainSession, message: str, channel: str, text: str) -> None:
    (frame,) = session.receive(message, NOW_MS)

    assert parse(frame) == {"seqnum": 0, "event": "rejected", "channel": channel, "text": text}


@pytest.mark.parametrize(
    ("channel", "symbol", "rest", "text"),
    [
        ("prices", "BTC-XXX", ',"granularity":60', "invalid symbol identifier"),
        ("prices", "btc-usd", ',"granularity":60', "invalid symbol identifier"),
        ("ticker", "BTC-XXX", "", "Invalid symbol"),
        ("prices", "BTC-USD", "", "No granularity set"),
        ("prices", "BTC-USD", ',"granularity":61', "Invalid granularity"),
    ],
)
def test_refuses_a_symbol_in_the_exchanges_words(
    session: BlockchainSession, channel: str, symbol: str, rest: str, text: str
) -> None:
    (frame,) = session.receive(f'{{"action":"subscribe","channel":"{channel}","symbol":"{symbol}"{rest}}}', NOW_MS)

    assert parse(frame) == {"seqnum": 0, "event": "rejected", "channel": channel, "symbol": symbol, "text": text}


def test_refuses_a_second_subscription_and_goes_on_with_the_first(session: BlockchainSession) -> None:
    session.receive(BTC, NOW_MS)

    (frame,) = session.receive(BTC, NOW_MS)

    assert parse(frame)["text"] == "Already subscribed"
    assert [parse(each)["price"][0] for each in run(session, NOW_MS + 1_000)] == [FIRST_MINUTE_MS] * 9


def test_an_unsubscribed_pair_is_silent(session: BlockchainSession) -> None:
    session.receive(BTC, NOW_MS)

    (frame,) = session.receive(BTC.replace("subscribe", "unsubscribe", 1), NOW_MS)

    assert parse(frame) == {"seqnum": 1, "event": "unsubscribed", "channel": "prices", "symbol": "BTC-USD"}
    assert run(session, NOW_MS + 10_000) == []


def test_a_closed_pair_is_acknowledged_and_silent(session: BlockchainSession) -> None:
    (frame,) = session.receive(BTC.replace("BTC-USD", "LUNA-USD"), NOW_MS)

    assert parse(frame)["event"] == "subscribed"
    assert run(session, NOW_MS + 60_000) == []


def test_lists_a_symbol_with_its_status(session: BlockchainSession) -> None:
    _, frame = session.receive('{"action":"subscribe","channel":"symbols","symbol":"LUNA-USD"}', NOW_MS)

    assert {pair: details["status"] for pair, details in parse(frame)["symbols"].items()} == {"LUNA-USD": "close"}


def test_throttles_and_forgives_after_a_minute_of_quiet(session: BlockchainSession) -> None:
    for _ in range(MAX_MESSAGES):
        session.receive(b"{}", NOW_MS)

    assert session.receive(BTC, NOW_MS + 1) == [THROTTLED]
    assert session.receive(BTC, NOW_MS + 59_000) == []
    assert session.receive(BTC, NOW_MS + 118_999) == []
    assert [parse(each)["event"] for each in session.receive(BTC, NOW_MS + 178_999)] == ["subscribed"]


def test_a_steady_client_is_not_throttled(session: BlockchainSession) -> None:
    replies = [session.receive("{}", NOW_MS + number * 51) for number in range(3 * MAX_MESSAGES)]

    assert [parse(frame)["seqnum"] for (frame,) in replies] == list(range(3 * MAX_MESSAGES))


def test_a_skipped_frame_takes_its_number_with_it(session: BlockchainSession, market: Market) -> None:
    session.receive(BTC, NOW_MS)
    market.faults.skip = 1

    assert parse(run(session, NOW_MS + 1_000)[0])["seqnum"] == 2


def test_other_faults_change_the_frames_they_should(session: BlockchainSession, market: Market) -> None:
    session.receive(BTC, NOW_MS)
    faults = market.faults
    faults.malformed, faults.duplicate, faults.seconds = 1, 1, True
    faults.injected.append({"event": "paused", "channel": "prices", "price": [Decimal("0.10")]})

    injected, cut, first, second, *_ = run(session, NOW_MS + 1_000)

    assert injected == '{"seqnum":1,"event":"paused","channel":"prices","price":[0.10]}'
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(cut)
    assert first == second
    assert (parse(first)["seqnum"], parse(first)["price"][0]) == (3, FIRST_MINUTE_MS // 1000)


words = st.sampled_from(
    ["subscribe", "unsubscribe", "prices", "heartbeat", "symbols", "l2", "BTC-USD", "LUNA-USD", 60, None, 1.5]
)
requests = st.dictionaries(
    st.sampled_from(["action", "channel", "symbol", "granularity"]),
    words | st.lists(words, max_size=2),
).map(msgspec.json.encode)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(requests | st.binary(max_size=30) | st.text(max_size=30), max_size=12))
def test_whatever_a_client_sends_is_answered_in_order(market: Market, messages: list[str | bytes]) -> None:
    session = BlockchainSession(market)

    frames = [frame for message in messages for frame in session.receive(message, NOW_MS)]

    assert [parse(frame)["seqnum"] for frame in frames] == list(range(len(frames)))
    assert len(frames) >= len(messages)
