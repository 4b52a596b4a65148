"""Marks: what is safely in Kafka, whatever the order of acknowledgements."""

from hypothesis import given
from hypothesis import strategies as st

from ingest.marks import Mark, Marks


def test_a_mark_is_reached_when_everything_before_it_is_resolved() -> None:
    marks: Marks[int] = Marks()
    first, second = marks.open(), marks.open()
    marks.place(10)
    marks.open()

    seen = [marks.reached]
    for mark in (second, first):
        mark.resolve()
        seen.append(marks.reached)

    assert seen == [None, None, 10]


def test_a_mark_without_records_before_it_is_reached_at_once() -> None:
    marks: Marks[int] = Marks()

    marks.place(10)

    assert marks.reached == 10


def test_a_later_mark_waits_for_an_earlier_one() -> None:
    marks: Marks[int] = Marks()
    marks.open()
    marks.place(10)
    second = marks.open()
    marks.place(20)

    second.resolve()

    assert marks.reached is None


def test_too_many_marks_become_coarser_and_never_too_early() -> None:
    marks: Marks[int] = Marks(limit=1)
    first = marks.open()
    marks.place(10)
    second = marks.open()
    marks.place(20)  # does not fit
    first.resolve()
    marks.place(30)

    before = marks.reached
    second.resolve()

    assert (before, marks.reached) == (10, 30)


@given(st.lists(st.one_of(st.just("open"), st.just("place"), st.integers(0, 20)), max_size=80), st.integers(1, 5))
def test_reached_is_never_past_an_unresolved_record(actions: list[str | int], limit: int) -> None:
    marks: Marks[int] = Marks(limit)
    unresolved: list[tuple[int, Mark[int]]] = []

    for position, action in enumerate(actions):
        if action == "open":
            unresolved.append((position, marks.open()))
        elif action == "place":
            marks.place(position)
        elif unresolved:
            unresolved.pop(int(action) % len(unresolved))[1].resolve()

        oldest = min((opened for opened, _ in unresolved), default=len(actions))
        assert marks.reached is None or marks.reached < oldest


def test_tells_how_many_places_wait() -> None:
    marks: Marks[int] = Marks(limit=3)
    first = marks.open()
    for place in range(5):
        marks.place(place)

    waiting = [marks.waiting]
    first.resolve()
    waiting.append(marks.waiting)

    assert waiting == [3, 0]
