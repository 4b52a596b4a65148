"""Cursors as text, and what a process remembers of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.ws.cursors import Memory, format_cursor, parse_cursor


@pytest.mark.parametrize("cursor", [("5f3a9c", 812), ("a:b", 0), ("", 3)])
def test_a_cursor_is_read_as_it_was_written(cursor: tuple[str, int]) -> None:
    assert parse_cursor(format_cursor(cursor) or "") == cursor


@pytest.mark.parametrize("text", ["", "812", "a:", "a:-1", "a:1.5", "a:²", "a:١", "a: 1", ":"])
def test_what_is_no_cursor_of_ours_is_none(text: str) -> None:
    assert parse_cursor(text) is None


def test_without_a_cursor_there_is_no_text() -> None:
    assert format_cursor(None) is None


@given(st.text())
def test_reading_a_cursor_never_fails(text: str) -> None:
    cursor = parse_cursor(text)

    assert cursor is None or cursor[1] >= 0


def test_what_changed_since_a_cursor_opens_where_the_window_began_then() -> None:
    memory = Memory()
    for cursor, oldest in [(("a", 5), 100), (("a", 7), 100), (("a", 9), 160), (("b", 1), 500)]:
        memory.note(cursor, oldest)

    since = [memory.oldest_change_since(cursor) for cursor in [("a", 5), ("a", 8), ("a", 9), ("a", 99), ("b", 4)]]

    assert since == [100, 100, 160, 160, 500]


def test_nothing_is_known_of_other_cursors() -> None:
    memory = Memory()
    memory.note(("a", 5), 100)

    assert [memory.oldest_change_since(cursor) for cursor in [("a", 4), ("b", 5)]] == [None, None]


def test_an_older_candle_that_comes_later_reaches_back_to_every_cursor() -> None:
    memory = Memory()
    for cursor, oldest in [(("a", 5), 300), (("a", 6), 360)]:
        memory.note(cursor, oldest)
    before = [memory.oldest_change_since(cursor) for cursor in [("a", 5), ("a", 6)]]
    for cursor, oldest in [(("b", 1), 240), (("b", 2), 60)]:
        memory.note(cursor, oldest)

    assert before == [300, 360]
    assert [memory.oldest_change_since(cursor) for cursor in [("a", 5), ("a", 6), ("b", 1)]] == [60, 60, 60]


def test_numbers_that_begin_anew_mean_something_else() -> None:
    memory = Memory()
    memory.note(("a", 800), 100)

    memory.note(("a", 2), 500)

    assert [memory.oldest_change_since(("a", seq)) for seq in (1, 2, 800)] == [None, 500, 500]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=400), st.data())
def test_what_is_forgotten_makes_ranges_longer_and_never_shorter(steps: list[int], data: st.DataObject) -> None:
    memory, noted, oldest = Memory(), list[int](), 0
    for seq, step in enumerate(steps):
        oldest += step * 60
        memory.note(("a", seq), oldest)
        noted.append(oldest)

    seq = data.draw(st.integers(0, len(steps) - 1))
    since = memory.oldest_change_since(("a", seq))

    assert since is not None
    assert noted[0] <= since <= noted[seq]
    assert sum(map(len, memory._epochs.values())) <= 64
