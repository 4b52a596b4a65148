"""Kraken frames to events."""

from decimal import Decimal

import pytest
from hypothesis import given

from ingest.candle import Interval, check_prices, check_timestamp
from ingest.exchanges.base import CandleUpdate, Event, Heartbeat, Invalid, Origin, Rejected, Subscribed
from ingest.exchanges.kraken import KrakenAdapter, KrakenConnection
from tests.frames import load
from tests.unit.ingest.exchanges.frames_of_any_kind import anything

FRAMES = load("kraken")
#: 2026-09-10T17:32:00Z
MINUTE_MS = 1789061520000


def connected(*pairs: str) -> KrakenConnection:
    return KrakenAdapter().connect(pairs or ("BTC-USDT", "ETH-USD"), Interval.M1)


def row(minute: int = 32, symbol: str = "BTC/USDT", **fields: str) -> str:
    values = {"open": "2.0", "high": "4.0", "low": "1.0", "close": "3.0", "volume": "0.5", "interval": "1"} | fields
    begin = fields.get("interval_begin", f'"2026-09-10T17:{minute:02}:00.000000000Z"')
    numbers = ",".join(f'"{key}":{value}' for key, value in values.items() if key != "interval_begin")
    return f'{{"symbol":"{symbol}",{numbers},"interval_begin":{begin},"timestamp":"2026-09-10T17:59:00.000000Z"}}'


def ohlc(kind: str, *rows: str) -> str:
    joined = ",".join(rows)
    return f'{{"channel":"ohlc","type":"{kind}","timestamp":"2026-09-10T17:44:43.2Z","data":[{joined}]}}'


def candle(minute: int = 32, pair: str = "BTC-USDT", origin: Origin = Origin.LIVE) -> CandleUpdate:
    open_, high, low, close, volume = map(Decimal, ("2.0", "4.0", "1.0", "3.0", "0.5"))
    open_time = MINUTE_MS + (minute - 32) * 60_000
    return CandleUpdate(pair, Interval.M1, open_time, open_, high, low, close, volume, origin=origin)


SENT = Heartbeat(1789062283200)


def test_subscribes_all_pairs_at_once() -> None:
    assert connected().opening_frames() == [
        '{"method":"subscribe","params":{"channel":"ohlc","symbol":["BTC/USDT","ETH/USD"],"interval":1,'
        '"snapshot":true},"req_id":1}'
    ]


def test_subscribes_many_pairs_a_hundred_to_a_frame() -> None:
    frames = connected(*(f"T{number:03}-USD" for number in range(250))).opening_frames()

    assert [frame.count("/USD") for frame in frames] == [100, 100, 50]


@pytest.mark.parametrize(
    ("name", "events"),
    [
        ("status", [Heartbeat()]),
        ("heartbeat", [Heartbeat()]),
        ("acknowledgement", [Subscribed("BTC-USDT")]),
        ("pong", [Heartbeat(1789062283105)]),
        (
            "snapshot",
            [
                CandleUpdate(
                    "BTC-USDT",
                    Interval.M1,
                    MINUTE_MS,
                    Decimal("77400.0"),
                    Decimal("77445.8"),
                    Decimal("77400.0"),
                    Decimal("77416.3"),
                    Decimal("0.25302078"),
                ),
                SENT,
            ],
        ),
    ],
)
def test_translates_a_published_frame(name: str, events: list[Event]) -> None:
    assert connected().receive(FRAMES[name]) == events


def test_a_rejection_names_its_pair() -> None:
    assert connected("XBT-USDT").receive(FRAMES["unknown symbol"]) == [
        Rejected("XBT-USDT", "Currency pair not supported XBT/USDT")
    ]


def test_a_rejection_for_being_too_fast_may_be_tried_again() -> None:
    frame = '{"error":"EGeneral:Too many requests","method":"subscribe","success":false,"symbol":"BTC/USDT"}'

    assert connected().receive(frame) == [Rejected("BTC-USDT", "EGeneral:Too many requests", retryable=True)]


def test_a_second_subscription_is_a_subscription() -> None:
    frame = '{"error":"Already subscribed","method":"subscribe","success":false,"symbol":"BTC/USDT"}'

    assert connected().receive(frame) == [Subscribed("BTC-USDT")]


def test_an_error_without_a_method_is_a_rejection_of_no_pair() -> None:
    assert connected().receive('{"error":"Malformed request","success":false}') == [Rejected(None, "Malformed request")]


def test_rows_of_a_snapshot_older_than_the_running_one_are_history() -> None:
    snapshot = ohlc("snapshot", row(30), row(32), row(33))

    assert connected().receive(snapshot) == [
        candle(30, origin=Origin.HISTORY),
        candle(32, origin=Origin.HISTORY),
        candle(33),
        SENT,
    ]


def test_a_snapshot_of_two_pairs_has_two_running_rows() -> None:
    snapshot = ohlc("snapshot", row(32), row(31, "ETH/USD"), row(33), row(32, "ETH/USD"))

    assert connected().receive(snapshot) == [
        candle(32, origin=Origin.HISTORY),
        candle(31, "ETH-USD", Origin.HISTORY),
        candle(33),
        candle(32, "ETH-USD"),
        SENT,
    ]


def test_rows_of_an_update_are_live() -> None:
    assert connected().receive(ohlc("update", row(32), row(33))) == [candle(32), candle(33), SENT]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row(33, high="0.5"), "low, open, close, high is 1.0, 2.0, 3.0, 0.5, expected low <= open, close <= high"),
        (row(33, interval="5"), "interval is 5, expected 1 minutes"),
        (row(33, symbol="XRP/USD"), "symbol is XRP/USD, expected one that was subscribed"),
        (row(interval_begin='"noon"'), "interval_begin is noon, expected a time such as 2026-09-10T17:32:00Z"),
        (row(33, volume="null"), "Expected `decimal`, got `null` - at `$.volume`"),
        ("5", "Expected `object`, got `int`"),
    ],
)
def test_a_row_that_is_no_candle_costs_only_itself(bad: str, reason: str) -> None:
    assert connected().receive(ohlc("update", bad, row())) == [Invalid(f"candle: {reason}"), candle(), SENT]


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (ohlc("delta", row()), "unknown type 'delta' on channel 'ohlc'"),
        ('{"channel":"ticker","data":[]}', "unknown channel 'ticker', method None"),
        ('{"method":"dance","success":true}', "unknown channel None, method 'dance'"),
        ('{"channel":"ohlc","type":"update","data":5}', "data: Expected `array`, got `int`"),
        (
            '{"method":"subscribe","success":true,"result":{"channel":"ohlc","symbol":"XRP/USD"}}',
            "acknowledgement of 'XRP/USD' on 'ohlc', not asked for",
        ),
    ],
)
def test_what_is_not_understood_is_invalid(frame: str, reason: str) -> None:
    assert connected().receive(frame) == [Invalid(reason)]


def test_the_answer_to_an_unsubscription_is_no_news() -> None:
    assert connected().receive('{"method":"unsubscribe","success":true,"result":{}}') == []


def test_pings_often_enough_for_a_connection_that_is_closed_after_a_minute() -> None:
    keepalive = KrakenAdapter().keepalive

    assert keepalive is not None
    assert (keepalive.text, keepalive.every_seconds) == ('{"method":"ping"}', 30.0)


KEYS = ("channel", "type", "method", "success", "error", "symbol", "timestamp", "time_out", "result", "data")
ROW = {
    "symbol": "BTC/USDT",
    "open": 1,
    "high": 1,
    "low": 1,
    "close": 1,
    "volume": 0,
    "interval_begin": "2026-09-10T17:32:00Z",
    "interval": 1,
}
WORDS = ("ohlc", "snapshot", "update", "subscribe", "pong", "heartbeat", "BTC/USDT", True, False, [ROW], [ROW, 5, ROW])


@given(anything(KEYS, WORDS))
def test_whatever_comes_nothing_raises_and_every_candle_is_one(frame: str | bytes) -> None:
    for event in connected().receive(frame):
        if isinstance(event, CandleUpdate):
            check_timestamp(event.timestamp, Interval.M1)
            check_prices(event.open, event.high, event.low, event.close, event.volume)
        elif isinstance(event, Invalid | Rejected):
            assert len(event.reason) <= 300
