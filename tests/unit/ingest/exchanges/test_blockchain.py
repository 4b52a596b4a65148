"""Blockchain.com frames to events."""

from decimal import Decimal

import pytest
from hypothesis import given

from ingest.candle import Interval, check_prices, check_timestamp
from ingest.exchanges.base import CandleUpdate, Event, Heartbeat, Invalid, MissedFrames, Rejected, Subscribed
from ingest.exchanges.blockchain import BlockchainAdapter, BlockchainConnection
from tests.frames import load
from tests.unit.ingest.exchanges.frames_of_any_kind import anything

FRAMES = load("blockchain")


def connected(*pairs: str) -> BlockchainConnection:
    return BlockchainAdapter().connect(pairs or ("BTC-USD", "ETH-USD"), Interval.M1)


def candle(timestamp: int, *values: str, pair: str = "BTC-USD") -> CandleUpdate:
    open_, high, low, close, volume = map(Decimal, values)
    return CandleUpdate(pair, Interval.M1, timestamp, open_, high, low, close, volume)


def prices(seqnum: object, row: str = "[1589135580000,8506.3,8506.3,8495.5,8501.1,0.0011853]", **fields: str) -> str:
    symbol = fields.get("symbol", "BTC-USD")
    return f'{{"seqnum":{seqnum},"event":"updated","channel":"prices","symbol":"{symbol}","price":{row}}}'


UPDATE = candle(1589135580000, "8506.3", "8506.3", "8495.5", "8501.1", "0.0011853")


def test_subscribes_each_pair_by_itself_and_then_the_heartbeats() -> None:
    assert connected().opening_frames() == [
        '{"action":"subscribe","channel":"prices","symbol":"BTC-USD","granularity":60}',
        '{"action":"subscribe","channel":"prices","symbol":"ETH-USD","granularity":60}',
        '{"action":"subscribe","channel":"heartbeat"}',
    ]


def test_refuses_an_interval_that_the_exchange_does_not_have() -> None:
    with pytest.raises(ValueError, match="no candles of 4h"):
        BlockchainAdapter().connect(["BTC-USD"], Interval.H4)


@pytest.mark.parametrize(
    ("name", "events"),
    [
        ("candle after a trade", [UPDATE]),
        ("candle before a trade", [candle(1589135580000, "8506.3", "8506.3", "8495.5", "8495.5", "0.0005961")]),
        ("acknowledgement", [Subscribed("BTC-USD")]),
        ("documented acknowledgement", [Subscribed("BTC-USD")]),
        ("duplicate", [Subscribed("BTC-USD")]),
        ("unknown symbol", [Rejected("BTC-USD", "invalid symbol identifier")]),
        (
            "throttling",
            [Rejected(None, "Connection throttling enabled, your messages will be ignored.", retryable=True)],
        ),
    ],
)
def test_translates_a_published_frame(name: str, events: list[Event]) -> None:
    assert connected().receive(FRAMES[name]) == events


def test_a_mid_price_candle_moves_without_volume() -> None:
    running = candle(1790138040000, "87217.845", "87217.845", "87190.85", "87190.85", "0.0")

    assert connected().receive(FRAMES["running candle"])[1:] == [running]


def test_a_volume_in_scientific_notation_is_exact() -> None:
    (update,) = connected().receive(prices(0, "[1589135580000,1,1,1,1,5.961E-4]"))

    assert isinstance(update, CandleUpdate)
    assert str(update.volume) == "0.0005961"


def test_the_documented_example_is_in_seconds_and_not_a_candle() -> None:
    (event,) = connected().receive(FRAMES["documented candle"])

    assert event == Invalid(
        "candle of BTC-USD: low, open, close, high is 8697.27, 8697.24, 8700.98, 8700.98, "
        "expected low <= open, close <= high"
    )


def test_an_open_time_in_seconds_is_the_same_candle() -> None:
    assert connected().receive(prices(0, "[1589135580,8506.3,8506.3,8495.5,8501.1,0.0011853]")) == [UPDATE]


def test_a_heartbeat_says_the_time_of_the_exchange() -> None:
    assert connected().receive(FRAMES["heartbeat"])[1:] == [Heartbeat(1790138037057)]


def test_the_answer_to_the_heartbeat_subscription_is_no_news() -> None:
    frames = (
        '{"seqnum":0,"event":"subscribed","channel":"heartbeat"}',
        '{"seqnum":1,"event":"rejected","channel":"heartbeat","text":"Already subscribed"}',
        '{"seqnum":2,"event":"unsubscribed","channel":"prices","symbol":"BTC-USD"}',
    )
    connection = connected()

    assert [connection.receive(frame) for frame in frames] == [[], [], []]


def test_a_sequence_without_a_jump_is_not_reported() -> None:
    connection = connected()

    assert [connection.receive(prices(seqnum)) for seqnum in range(3)] == [[UPDATE]] * 3


def test_a_jump_precedes_the_candle_that_showed_it() -> None:
    connection = connected()
    connection.receive(prices(0))

    assert connection.receive(prices(3)) == [MissedFrames(1, 3), UPDATE]
    assert connection.receive(prices(4)) == [UPDATE]


def test_a_jump_is_noticed_across_channels() -> None:
    connection = connected()
    connection.receive(prices(0))

    assert connection.receive('{"seqnum":2,"event":"updated","channel":"heartbeat"}') == [
        MissedFrames(1, 2),
        Heartbeat(),
    ]


def test_a_missing_first_frame_is_a_jump() -> None:
    assert connected().receive(prices(1)) == [MissedFrames(0, 1), UPDATE]


def test_a_repeated_frame_is_ignored_and_nothing_is_missing() -> None:
    connection = connected()
    connection.receive(prices(0))

    assert connection.receive(prices(0)) == [Invalid("repeated seqnum 0")]
    assert connection.receive(prices(1)) == [UPDATE]


def test_a_frame_without_a_number_is_read_and_does_not_count() -> None:
    connection = connected()

    assert connection.receive(prices("null")) == [UPDATE]
    assert connection.receive(prices(0)) == [UPDATE]


def test_an_unreadable_frame_costs_only_itself() -> None:
    connection = connected()
    (event,) = connection.receive(prices(0)[:40])

    assert isinstance(event, Invalid)
    assert connection.receive(prices(1)) == [UPDATE]
    assert connection.receive(prices(3)) == [MissedFrames(2, 3), UPDATE]


def test_an_unreadable_frame_without_a_number_is_not_taken_for_a_missing_one() -> None:
    connection = connected()
    connection.receive("\x00 no JSON, and no number of its own")

    assert connection.receive(prices(0)) == [UPDATE]
    assert connection.receive(prices(2)) == [MissedFrames(1, 2), UPDATE]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("[1589135580001,1,1,1,1,1]", "timestamp is 1589135580001, expected a multiple of 60000 ms (1m)"),
        ("[1589135580000,1,1,1,1,-1]", "volume is -1, expected 0 or more"),
        ("[1589135580000,0,0,0,0,1]", "open is 0, expected a price above 0"),
        ('[1589135580000,1,1,1,1,"NaN"]', "volume is NaN, expected a finite number"),
        (
            "[1589135580000,1,1,1,1,1E99999]",
            "volume is 1E+99999, expected at most 34 digits and an exponent within ±30",
        ),
        ("[1589135580000,1,1,1,1]", "Expected `array` of length 6"),
        ("[null,1,1,1,1,1]", "Expected `int`, got `null` - at `$[0]`"),
        ("null", "Expected `array`, got `null`"),
    ],
)
def test_a_row_that_is_no_candle_costs_only_itself(row: str, reason: str) -> None:
    connection = connected()

    assert connection.receive(prices(0, row)) == [Invalid(f"candle of BTC-USD: {reason}")]
    assert connection.receive(prices(1)) == [UPDATE]


def test_a_candle_of_a_pair_that_was_not_subscribed_is_invalid() -> None:
    assert connected().receive(prices(0, symbol="XRP-USD")) == [Invalid("candle of 'XRP-USD', which is not subscribed")]


def test_a_candle_of_another_length_never_passes_for_one_of_a_minute() -> None:
    connection = connected()
    acknowledged = '{"seqnum":0,"event":"subscribed","channel":"prices","symbol":"BTC-USD","granularity":300}'

    assert connection.receive(acknowledged) == [Rejected("BTC-USD", "subscribed with granularity 300")]
    assert connection.receive(prices(1)) == [Invalid("candle of 'BTC-USD', which is not subscribed")]


def test_an_unknown_event_is_counted_and_costs_nothing() -> None:
    connection = connected()

    assert connection.receive('{"seqnum":0,"event":"paused","channel":"prices","symbol":"BTC-USD"}') == [
        Invalid("unknown event 'paused' on channel 'prices'")
    ]
    assert connection.receive(prices(1)) == [UPDATE]


KEYS = ("seqnum", "event", "channel", "symbol", "granularity", "text", "timestamp", "price")
WORDS = ("subscribed", "updated", "rejected", "prices", "heartbeat", "BTC-USD", 0, 60, [1589135580000, 1, 1, 1, 1, 0])


@given(anything(KEYS, WORDS))
def test_whatever_comes_nothing_raises_and_every_candle_is_one(frame: str | bytes) -> None:
    for event in connected().receive(frame):
        if isinstance(event, CandleUpdate):
            check_timestamp(event.timestamp, Interval.M1)
            check_prices(event.open, event.high, event.low, event.close, event.volume)
        elif isinstance(event, Invalid | Rejected):
            assert len(event.reason) <= 300
