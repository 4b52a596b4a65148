"""What `top` shows of each pair."""

from decimal import Decimal

import pytest

from tests.conftest import MINUTE_MS, make_candle
from web.terminal.board import RATE_SECONDS, Board, Row

KEY = ("sim", "BTC-USD")
#: Five seconds after the running candle's version was made.
NOW_MS = MINUTE_MS + 5_000


def test_what_is_not_known_is_left_open() -> None:
    (row,) = Board([KEY]).rows(0.0, NOW_MS)

    assert row == Row(*KEY, None, None, None, None, None, 0.0)
    assert row.cells() == ("sim", "BTC-USD", "", "", "", "", "", "0.0/s")


def test_a_pair_shows_its_newest_candle_the_days_change_and_its_feed() -> None:
    board = Board([KEY])
    board.take(make_candle(0, close=Decimal("18383.38")), 100.0)
    board.take(make_candle(-1, close=Decimal("18380")), 100.0)
    board.take_day(KEY, Decimal("18000"))
    board.take_feed("sim", "live")

    (row,) = board.rows(101.0, NOW_MS)

    assert row == Row(*KEY, Decimal("18383.38"), Decimal("2.13"), "open", "live", 5.0, 0.2)
    assert row.cells() == ("sim", "BTC-USD", "18,383.38", "+2.13 %", "open", "live", "5.0 s", "0.2/s")


def test_changes_count_for_ten_seconds() -> None:
    board = Board([KEY])
    for number in range(20):
        board.take(make_candle(), float(number))

    rates = [board.rows(now, NOW_MS)[0].rate for now in (19.0, 19.0 + RATE_SECONDS / 2, 30.0)]

    assert rates == [1.1, 0.6, 0.0]


def test_a_day_that_has_not_begun_has_no_change() -> None:
    board = Board([KEY])
    board.take(make_candle(), 0.0)
    board.take_day(KEY, Decimal(1))
    board.take_day(KEY, None)

    assert board.rows(0.0, NOW_MS)[0].change is None


@pytest.mark.parametrize(
    ("age_ms", "shown"), [(-900, "0.0 s"), (99_900, "99.9 s"), (120_000, "2 min"), (7_200_000, "2 h")]
)
def test_ages_are_readable(age_ms: int, shown: str) -> None:
    board = Board([KEY])
    board.take(make_candle(), 0.0)

    (row,) = board.rows(0.0, MINUTE_MS + age_ms)

    assert row.cells()[6] == shown
