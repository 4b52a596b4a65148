"""Market time as a function of wall time."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from ingest.simulator.clock import FIRST_UPDATE_MS, HOLD_MS, MINUTE_MS, MarketClock
from tests.conftest import MINUTE_MS as NOW_MS

HOUR_MS = 60 * MINUTE_MS

clocks = st.builds(
    MarketClock.begin,
    st.integers(min_value=NOW_MS, max_value=NOW_MS + HOUR_MS),
    st.integers(min_value=0, max_value=48 * HOUR_MS),
    st.decimals(min_value=1, max_value=100_000, places=2),
)
some_time = st.integers(min_value=-HOUR_MS, max_value=100 * HOUR_MS).map(lambda since: NOW_MS + since)


def test_begins_so_long_before_the_first_subscription_and_hurries() -> None:
    clock = MarketClock.begin(NOW_MS, 4 * HOUR_MS, Decimal(600))

    beginning = NOW_MS - 4 * HOUR_MS - FIRST_UPDATE_MS
    moves = NOW_MS + HOLD_MS
    assert [clock.market_at(moves + wall) for wall in (0, 1, 1000)] == [beginning, beginning + 600, beginning + 600_000]


def test_stands_still_while_the_first_subscriptions_come_in() -> None:
    clock = MarketClock.begin(NOW_MS, 4 * HOUR_MS, Decimal(600))

    assert {clock.market_at(NOW_MS + wall) for wall in range(HOLD_MS + 1)} == {clock.market_ms}


def test_the_first_update_of_the_first_subscription_opens_a_minute() -> None:
    clock = MarketClock.begin(NOW_MS + 12_345, HOUR_MS, Decimal(1))

    assert clock.opening_ms == clock.market_ms + FIRST_UPDATE_MS == NOW_MS - HOUR_MS


def test_keeps_the_wall_clocks_time_once_it_has_caught_up() -> None:
    clock = MarketClock.begin(NOW_MS, 4 * HOUR_MS, Decimal(600))

    assert [clock.market_at(NOW_MS + wall) for wall in (30_000, HOUR_MS)] == [NOW_MS + 30_000, NOW_MS + HOUR_MS]


@given(clocks, some_time)
def test_is_never_ahead_of_the_wall_clock_nor_before_its_beginning(clock: MarketClock, wall_ms: int) -> None:
    assert clock.market_ms <= clock.market_at(wall_ms) <= max(wall_ms, clock.market_ms)


@given(clocks, some_time, st.integers(min_value=0, max_value=HOUR_MS))
def test_never_runs_backwards(clock: MarketClock, wall_ms: int, later_ms: int) -> None:
    assert clock.market_at(wall_ms) <= clock.market_at(wall_ms + later_ms)


@given(clocks, st.integers(min_value=1, max_value=100 * HOUR_MS))
def test_a_market_time_is_due_at_the_first_moment_that_shows_it(clock: MarketClock, since_ms: int) -> None:
    market_ms = clock.market_ms + since_ms

    due = clock.wall_at(market_ms)

    assert clock.market_at(due - 1) < market_ms <= clock.market_at(due)
