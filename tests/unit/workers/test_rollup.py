"""Larger candles: the same minutes give the same candle, whatever their order, their number of versions, their way."""

import re
from collections.abc import Sequence
from decimal import Decimal
from itertools import groupby
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ingest.candle import Candle, Interval, Series, State, check_prices, check_timestamp
from ingest.codec import encode_candle
from ingest.revision import EPOCH_US, make_rev, rank_of
from tests.conftest import make_candle
from workers.rollup import LEVELS, Bucket, next_version, open_time, roll_up

DAY_MS = 1_606_176_000_000  # 2020-11-24T00:00Z
MINUTE_MS = 60_000
SERIES = Series("sim", "BTC-USD", Interval.M1)
FIVE = Bucket(SERIES._replace(interval=Interval.M5), DAY_MS)

prices = st.decimals(min_value="0.00000001", max_value="99999999", places=8)
volumes = st.decimals(min_value=0, max_value="99999999", places=8)
numbers = st.integers(0, 1439)


@st.composite
def versions(draw: st.DrawFn) -> Candle:
    """One version of one minute of the day."""
    number, state = draw(numbers), draw(st.sampled_from(list(State)))
    low, open_, close, high = sorted(draw(st.lists(prices, min_size=4, max_size=4)))
    values: Any = {"open": open_, "high": high, "low": low, "close": close, "volume": draw(volumes)}
    rev = make_rev(state.rank, EPOCH_US + draw(st.integers(0, 2**40)))
    return Candle("sim", "BTC-USD", Interval.M1, DAY_MS + number * MINUTE_MS, **values, state=state, rev=rev)


#: No two versions of a minute have one `rev`.
many = st.lists(versions(), min_size=1, max_size=40, unique_by=lambda each: (each.timestamp, each.rev))


def newest(all_versions: Sequence[Candle]) -> list[Candle]:
    """What a guarded store holds after these writes."""
    held: dict[int, Candle] = {}
    for version in all_versions:
        if version.timestamp not in held or held[version.timestamp].rev < version.rev:
            held[version.timestamp] = version
    return list(held.values())


def all_levels(minutes: Sequence[Candle]) -> dict[Interval, list[Candle]]:
    """Every larger candle of these minutes, of a day that is over."""
    parts = list(minutes)
    levels: dict[Interval, list[Candle]] = {}
    for interval in LEVELS:
        parts.sort(key=lambda part: part.timestamp)
        levels[interval] = []
        for opens, some in groupby(parts, key=lambda part: open_time(part.timestamp, interval)):
            rolled = roll_up(Bucket(SERIES._replace(interval=interval), opens), list(some), is_over=True)
            assert rolled is not None
            levels[interval].append(rolled)
        parts = list(levels[interval])
    return levels


@given(many.flatmap(lambda some: st.tuples(st.just(some), st.permutations(some))))
def test_shuffled_repeated_and_corrected_minutes_give_the_same_bytes(orders: tuple[list[Candle], list[Candle]]) -> None:
    one, other = orders

    levels, again = all_levels(newest(one)), all_levels(newest([*other, *one]))

    def texts(of: dict[Interval, list[Candle]]) -> list[bytes]:
        return [encode_candle(rolled) for level in of.values() for rolled in level]

    assert texts(levels) == texts(again)


@given(many)
def test_every_level_says_the_same_as_its_minutes(all_versions: list[Candle]) -> None:
    minutes = sorted(newest(all_versions), key=lambda candle: candle.timestamp)

    for interval, level in all_levels(minutes).items():
        for candle in level:
            mine = [each for each in minutes if open_time(each.timestamp, interval) == candle.timestamp]
            expected = (
                mine[0].open,
                max(each.high for each in mine),
                min(each.low for each in mine),
                mine[-1].close,
                sum(each.volume for each in mine),
            )
            assert (candle.values, candle.minutes) == (expected, len(mine))
            check_prices(*candle.values)
            check_timestamp(candle.timestamp, interval)


def rolled_state(states: Sequence[State], *, is_over: bool = True) -> State:
    minutes = [make_candle(timestamp=DAY_MS + number * MINUTE_MS, state=each) for number, each in enumerate(states)]
    rolled = roll_up(FIVE, minutes, is_over=is_over)
    assert rolled is not None
    assert rank_of(rolled.rev) == rolled.state.rank
    return rolled.state


@pytest.mark.parametrize(
    ("states", "is_over", "expected"),
    [
        ([State.FINAL] * 4 + [State.OPEN], False, State.OPEN),
        ([State.FINAL] * 5, False, State.OPEN),
        ([State.FINAL] * 5, True, State.FINAL),
        ([State.FINAL] * 4, True, State.PROVISIONAL),
        ([State.FINAL] * 4 + [State.PROVISIONAL], True, State.PROVISIONAL),
        ([State.CORRECTED] + [State.PARTIAL] * 4, True, State.PROVISIONAL),
        ([State.FINAL] * 4 + [State.OPEN], True, State.PROVISIONAL),
        ([State.FINAL] * 4 + [State.CORRECTED], True, State.CORRECTED),
    ],
)
def test_the_state_follows_from_the_parts(states: list[State], is_over: bool, expected: State) -> None:
    assert rolled_state(states, is_over=is_over) is expected


@given(st.lists(st.sampled_from(list(State)), min_size=4, max_size=5), st.integers(0, 3))
def test_a_surer_minute_never_makes_a_less_sure_candle(states: list[State], which: int) -> None:
    before = rolled_state(states)
    surer = [State.CORRECTED if number == which else state for number, state in enumerate(states)]

    assert rolled_state(surer).rank >= before.rank


def test_the_rev_is_that_of_the_newest_version_it_is_made_of() -> None:
    times_us = [1_606_200_000_000_000 + step for step in (5, 9, 2)]
    minutes = [
        make_candle(timestamp=DAY_MS + number * MINUTE_MS, state=State.FINAL, written_us=each)
        for number, each in enumerate(times_us)
    ]

    rolled = roll_up(FIVE, minutes, is_over=False)

    assert rolled is not None
    assert rolled.rev == make_rev(State.OPEN.rank, times_us[1])


def test_sums_are_exact_up_to_what_the_store_holds() -> None:
    volumes = [Decimal("1E+25"), Decimal("1E-8"), Decimal("0.5")]
    minutes = [make_candle(timestamp=DAY_MS + number * MINUTE_MS, volume=each) for number, each in enumerate(volumes)]

    rolled = roll_up(FIVE, minutes, is_over=True)

    assert rolled is not None
    assert str(rolled.volume) == "10000000000000000000000000.50000001"


def test_nothing_comes_of_nothing() -> None:
    assert roll_up(FIVE, [], is_over=True) is None


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([make_candle(timestamp=DAY_MS + 5 * MINUTE_MS)], "lies outside of 5m@"),
        ([make_candle(timestamp=DAY_MS)] * 2, "comes twice"),
        (
            [make_candle(timestamp=DAY_MS, interval=Interval.M5)],
            "sim|BTC-USD|5m in a candle of sim|BTC-USD|5m, expected sim|BTC-USD|1m",
        ),
        (
            [make_candle(timestamp=DAY_MS), make_candle(timestamp=DAY_MS + MINUTE_MS, pair="ETH-USD")],
            "sim|ETH-USD|1m in a candle of sim|BTC-USD|5m",
        ),
    ],
)
def test_parts_that_do_not_belong_are_refused(parts: list[Candle], expected: str) -> None:
    with pytest.raises(ValueError, match=re.escape(expected)):
        roll_up(FIVE, parts, is_over=True)


def larger(state: State, written_us: int, **fields: Any) -> Candle:
    """A version of a candle of five minutes."""
    return make_candle(timestamp=DAY_MS, interval=Interval.M5, state=state, written_us=written_us, minutes=5, **fields)


def test_the_next_version_is_above_the_one_before() -> None:
    now_us = 1_606_200_000_000_000
    held, later = larger(State.FINAL, now_us), larger(State.FINAL, now_us + 7, high=Decimal(19000))
    earlier = larger(State.FINAL, now_us - 7, high=Decimal(19000))

    assert next_version(later, None) == next_version(later, held) == later
    assert next_version(earlier, held) == replace(earlier, rev=held.rev + 1)


def test_what_says_the_same_or_is_less_sure_replaces_nothing() -> None:
    held = larger(State.FINAL, 1_606_200_000_000_000)

    assert next_version(replace(held, rev=held.rev + 5), held) is None
    assert next_version(larger(State.PROVISIONAL, 1_606_200_000_000_009, high=Decimal(19000)), held) is None
