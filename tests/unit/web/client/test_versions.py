"""Of each open time only a higher rev is news."""

from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import MINUTE_MS, make_candle, minute
from web.client.versions import Versions


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 20)), max_size=60))
def test_whatever_the_order_and_the_repeats_revs_rise_and_the_highest_comes(heard: list[tuple[int, int]]) -> None:
    versions, told = Versions(), dict[int, list[int]]()

    for number, version in heard:
        candle = make_candle(number, written_us=MINUTE_MS * 1000 + version)
        if versions.is_news(candle):
            told.setdefault(number, []).append(version)

    assert all(revs == sorted(set(revs)) for revs in told.values())
    highest: dict[int, int] = {}
    for number, version in heard:
        highest[number] = max(version, highest.get(number, 0))
    assert {number: revs[-1] for number, revs in told.items()} == highest


@given(st.integers(1, 5), st.lists(st.integers(0, 30), max_size=80))
def test_what_was_forgotten_is_never_news_and_memory_is_bounded(remembered: int, heard: list[int]) -> None:
    versions, told = Versions(remembered), []

    for number in heard:
        if versions.is_news(make_candle(number)):
            told.append(number)
            assert len(versions._revs) <= 2 * remembered

    assert len(told) == len(set(told))
    assert versions.newest == (minute(max(heard)) if heard else None)
