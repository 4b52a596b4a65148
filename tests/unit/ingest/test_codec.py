"""Records: exact decimals both ways, one clear error for everything else."""

import contextlib
import json
import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.candle import Candle, Interval, State, check_candle
from ingest.codec import decode_candle, decode_event, encode_candle, encode_event
from ingest.errors import DecodeError
from ingest.events import EventKind, FeedEvent, FeedState
from ingest.revision import EPOCH_US, make_rev
from tests.conftest import make_candle, minute

EXAMPLE = (
    b'{"v":1,"exchange":"sim","pair":"BTC-USD","interval":"1m","timestamp":1606166220000,"open":18383.38,'
    b'"high":18385.85,"low":18376.035,"close":18382.06,"volume":0.002185,"state":"open","rev":1154229326842624}'
)

#: 2026-01-01T00:00Z: neither an open time nor a revision before it can be ahead of the clock.
PAST_MS = 1_767_225_600_000
DAY_MS = 24 * 60 * 60 * 1000


def changed(**fields: Any) -> bytes:
    """The example with some fields changed; None removes one, and text stands for itself."""
    record = json.loads(EXAMPLE) | fields
    return json.dumps({name: value for name, value in record.items() if value is not None}).encode()


@st.composite
def candles(draw: st.DrawFn) -> Candle:
    digits = st.integers(1, 10**34 - 1)
    exponent = draw(st.integers(-30, 30))
    low, first, second, high = sorted(
        Decimal((0, tuple(map(int, str(number))), exponent))
        for number in draw(st.lists(digits, min_size=4, max_size=4))
    )
    volume = Decimal((0, tuple(map(int, str(draw(st.integers(0, 10**34 - 1))))), draw(st.integers(-30, 30))))
    interval, state = draw(st.sampled_from(Interval)), draw(st.sampled_from(State))
    return Candle(
        draw(st.from_regex(r"\A[a-z0-9]{1,20}\Z")),
        draw(st.from_regex(r"\A[A-Z0-9]{1,20}-[A-Z0-9]{1,20}\Z")),
        interval,
        draw(st.integers(0, PAST_MS // interval.milliseconds)) * interval.milliseconds,
        *draw(st.sampled_from([(first, high, low, second), (second, high, low, first)])),
        volume,
        state,
        make_rev(state.rank, draw(st.integers(EPOCH_US, PAST_MS * 1000))),
    )


def test_writes_the_documented_form() -> None:
    assert encode_candle(make_candle()) == EXAMPLE


@pytest.mark.parametrize("ahead", ["timestamp", "rev"])
def test_what_lies_more_than_a_day_ahead_is_refused_before_it_can_push_out_what_is_true(ahead: str) -> None:
    now_ms = int(time.time() * 1000)
    later_ms = now_ms + DAY_MS + 120_000
    fields: dict[str, Any] = {
        "timestamp": {"timestamp": later_ms - later_ms % 60_000},
        "rev": {"written_us": later_ms * 1000},
    }[ahead]

    with pytest.raises(DecodeError, match=f"^{ahead} is .*at most a day after now"):
        decode_candle(encode_candle(make_candle(**fields)))


@given(candles())
def test_every_candle_comes_back_equal(candle: Candle) -> None:
    assert decode_candle(encode_candle(candle)) == candle


@given(candles())
def test_prices_keep_every_digit(candle: Candle) -> None:
    again = decode_candle(encode_candle(candle))

    assert [each.as_tuple().digits for each in again.values] == [each.as_tuple().digits for each in candle.values] or (
        # The only freedom: zeros that an exponent stood for may be written out.
        again.values == candle.values
    )


@given(candles())
def test_a_record_is_json_that_starts_with_its_version(candle: Candle) -> None:
    payload = encode_candle(candle)

    assert payload.startswith(b'{"v":1,"exchange":')
    assert list(json.loads(payload)) == list(json.loads(EXAMPLE))


def test_reads_numbers_as_they_were_written() -> None:
    candle = decode_candle(EXAMPLE.replace(b"0.002185", b"2.185E-3"))

    assert candle == make_candle()


def test_ignores_fields_it_does_not_know() -> None:
    assert decode_candle(changed(trades=7)) == make_candle()


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "truncated"),
        (b"{", "truncated"),
        (b"\xff\xfe", "malformed"),
        (EXAMPLE.replace(b"BTC", b"\x80TC"), "invalid start byte"),
        (b"[]", "Expected `object`"),
        (b"null", "Expected `object`"),
        (b'{"v":1,"more":' + b"[" * 100_000, "nested too deeply"),
        (changed(v=None), "missing required field `v`"),
        (changed(v=2), "schema version is 2, expected 1"),
        (changed(close=None), "missing required field `close`"),
        (changed(close="NaN"), "close is NaN, expected a finite number"),
        (changed(close=True), "Expected `decimal`"),
        (changed(close=0), "close is 0, expected a price above 0"),
        (changed(high=1), "expected low <= open, close <= high"),
        (changed(timestamp=1), "expected a multiple of 60000 ms"),
        (changed(timestamp=10**30), "timestamp"),
        (changed(timestamp=1.5), "timestamp"),
        (changed(state="closed"), "closed"),
        (changed(state="final"), "expected rank 3, the rank of state final"),
        (changed(interval="2m"), "2m"),
        (changed(pair="BTCUSD"), "expected BASE-QUOTE"),
        (changed(exchange="Sim"), "exchange is 'Sim'"),
        (changed(rev=10**18), "rev"),
        (EXAMPLE.replace(b"18383.38", b"1e999999999"), "open"),
    ],
)
def test_names_what_is_wrong_with_a_record(payload: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as raised:
        decode_candle(payload)

    assert reason in raised.value.reason
    assert raised.value.payload == payload


@given(st.binary(max_size=200))
def test_any_bytes_are_a_candle_or_a_decode_error(payload: bytes) -> None:
    with contextlib.suppress(DecodeError):
        check_candle(decode_candle(payload))


@given(st.integers(0, len(EXAMPLE) - 1), st.integers(0, 255))
def test_a_record_with_one_byte_changed_is_a_candle_or_a_decode_error(position: int, byte: int) -> None:
    payload = EXAMPLE[:position] + bytes([byte]) + EXAMPLE[position + 1 :]

    try:
        candle = decode_candle(payload)
    except DecodeError:
        return
    assert decode_candle(encode_candle(candle)) == candle


events = st.builds(
    FeedEvent,
    exchange=st.from_regex(r"\A[a-z0-9]{1,20}\Z"),
    event=st.sampled_from(EventKind),
    feed=st.sampled_from(FeedState),
    since=st.integers(0, 2**53),
    at=st.integers(0, 2**53),
    reason=st.text(max_size=30),
    pairs=st.lists(st.from_regex(r"\A[A-Z0-9]{1,20}-[A-Z0-9]{1,20}\Z"), max_size=3).map(tuple),
    until=st.none() | st.integers(0, 2**53),
    gap_from=st.none() | st.integers(0, 2**53),
    gap_to=st.none() | st.integers(0, 2**53),
    series=st.none() | st.just("sim|BTC-USD|1m"),
    timestamp=st.none() | st.integers(0, 2**53),
)


@given(events)
def test_every_event_comes_back_equal(event: FeedEvent) -> None:
    assert decode_event(encode_event(event)) == event


def test_an_event_leaves_out_what_it_does_not_say() -> None:
    gap = FeedEvent("sim", EventKind.GAP, FeedState.LIVE, 1, 2, gap_from=minute(0), gap_to=minute(1))

    assert encode_event(gap) == (
        b'{"v":1,"exchange":"sim","event":"gap","feed":"live","since":1,"at":2,"from":1606166220000,"to":1606166280000}'
    )


@pytest.mark.parametrize("payload", [b"", b"{}", b'{"v":3}', b'{"v":1,"exchange":"sim","event":"party"}'])
def test_refuses_what_is_no_event(payload: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_event(payload)
