"""When a consumer counts as stalled, and when it is only slow, paused or at the end."""

from hypothesis import given
from hypothesis import strategies as st

from workers.kafka_view import Bounds, Place
from workers.stall import LOOKS, LOOKS_AMONG_MOVING, MOST_IN_VAIN, MOST_PATIENCE, Stall

HERE, THERE = ("candles", 0), ("candles", 1)
BOUNDS: Bounds = {HERE: (0, 100), THERE: (0, 100)}


def looks_until_stalled(stall: Stall, positions: dict[Place, int], bounds: Bounds = BOUNDS) -> int:
    """How many looks at these positions it takes."""
    return next(number for number in range(1, 1000) if stall.look(positions, bounds))


def test_a_partition_that_stands_below_its_end_is_stalled() -> None:
    stall = Stall()

    assert [stall.look({HERE: 40, THERE: 100}, BOUNDS) for _ in range(LOOKS)] == [[]] * (LOOKS - 1) + [[HERE]]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=100))
def test_a_quiet_partition_is_never_stalled(news: list[int]) -> None:
    stall, end = Stall(), 0

    for count in news:
        end += count
        assert stall.look({HERE: end}, {HERE: (0, end)}) == []


@given(st.lists(st.integers(0, LOOKS - 2), max_size=30))
def test_a_slow_partition_is_not_stalled(pauses: list[int]) -> None:
    stall = Stall()

    for position, looks in enumerate(pauses):
        assert not any(stall.look({HERE: position}, {HERE: (0, 10_000)}) for _ in range(1 + looks))


def test_where_the_log_begins_later_there_is_nothing_to_read_below() -> None:
    stall = Stall()

    assert not any(stall.look({HERE: 0}, {HERE: (100, 100)}) for _ in range(2 * LOOKS))


def test_among_partitions_that_move_one_may_wait_longer() -> None:
    stall = Stall()

    found = [stall.look({HERE: 40, THERE: number}, BOUNDS) for number in range(LOOKS_AMONG_MOVING)]

    assert found == [[]] * (LOOKS_AMONG_MOVING - 1) + [[HERE]]


def test_a_fresh_consumer_at_the_same_place_is_given_longer_each_time() -> None:
    stall = Stall()

    needed = []
    for end in range(100, 107):
        needed.append(looks_until_stalled(stall, {HERE: 40}, {HERE: (0, end)}))
        stall.replaced()

    assert needed == [LOOKS * times for times in (1, 2, 4, 8, 16, MOST_PATIENCE, MOST_PATIENCE)]


def test_where_fresh_consumers_get_no_further_there_is_nothing_until_something_comes() -> None:
    stall = Stall()
    for _ in range(MOST_IN_VAIN):
        looks_until_stalled(stall, {HERE: 99})
        stall.replaced()

    assert not any(stall.look({HERE: 99}, BOUNDS) for _ in range(1000))
    assert looks_until_stalled(stall, {HERE: 99}, {HERE: (0, 101)}) == LOOKS


def test_a_fresh_consumer_that_got_on_is_given_as_long_as_the_first() -> None:
    stall = Stall()
    looks_until_stalled(stall, {HERE: 40})
    stall.replaced()
    stall.look({HERE: 30}, BOUNDS)  # it begins at the commit
    stall.look({HERE: 41}, BOUNDS)

    assert looks_until_stalled(stall, {HERE: 41}) == LOOKS


def test_what_was_seen_before_an_outage_does_not_count() -> None:
    stall = Stall()
    for _ in range(LOOKS - 1):
        stall.look({HERE: 40}, BOUNDS)

    stall.forget()

    assert looks_until_stalled(stall, {HERE: 40}) == LOOKS
