"""When a fault had passed is read off samples of Kafka's ends and the commits of every group."""

import pytest

from tests.chaos.progress import GROUPS, MINUTES_GROUPS, Sample, came_after, recovered_after

PERSIST, FANOUT = MINUTES_GROUPS
OTHERS = set(GROUPS) - {PERSIST, FANOUT}


def sample(
    at: float, ends: int, persist: int, fanout: int, *, others: int | None = None, incarnation: int = 0
) -> Sample:
    """One partition that ends at ``ends``; the other groups are as far as the first one unless told otherwise."""
    rest = {group: {0: persist if others is None else others} for group in OTHERS}
    return Sample(at, incarnation, {0: ends}, {PERSIST: {0: persist}, FANOUT: {0: fanout}} | rest)


def test_recovered_is_when_every_group_has_committed_all_before_and_something_later() -> None:
    samples = [
        sample(9, 90, 90, 90),
        sample(11, 100, 90, 100),
        sample(12, 110, 100, 110),
        sample(13, 120, 110, 99),
        sample(14, 130, 110, 110, others=99),
        sample(15, 130, 110, 110),
    ]

    assert recovered_after(samples, 10) == 5
    assert recovered_after(samples, 10, MINUTES_GROUPS) == 4


def test_it_has_not_recovered_while_nothing_new_comes() -> None:
    samples = [sample(11, 100, 90, 90), sample(12, 100, 100, 100)]

    assert recovered_after(samples, 10) is None


@pytest.mark.parametrize(
    ("later", "came"),
    [
        (sample(12, 100, 100, 100), False),
        (sample(12, 101, 100, 100), True),
        (sample(12, 1, 0, 0, incarnation=1), True),
        (Sample(12, 1, {}, {group: {} for group in GROUPS}), False),
    ],
)
def test_something_came_when_the_topic_grew_or_a_new_one_has_records(later: Sample, came: bool) -> None:
    assert came_after([sample(9, 90, 90, 90), sample(11, 100, 90, 90), later], 10) is came


def test_it_has_not_recovered_while_a_partition_was_never_committed() -> None:
    before = Sample(11, 0, {0: 5, 1: 5}, {group: {0: 5, 1: 5} for group in GROUPS} | {PERSIST: {0: 5}})
    after = Sample(12, 0, {0: 99, 1: 5}, {group: {0: 99, 1: 5} for group in GROUPS} | {PERSIST: {0: 99}})

    assert recovered_after([before, after], 10) is None


def test_nothing_is_known_without_a_sample_after_the_moment() -> None:
    assert recovered_after([sample(9, 1, 1, 1)], 10) is None


def test_the_commits_of_a_topic_that_is_gone_do_not_count() -> None:
    samples = [
        sample(11, 500, 500, 500),
        sample(12, 3, 500, 500, incarnation=1),
        sample(13, 4, 2, 3, incarnation=1),
    ]

    assert recovered_after(samples, 10) == 3


def test_caught_up_is_everything_of_every_partition_by_every_group() -> None:
    assert sample(1, 10, 10, 10).caught_up()
    assert not sample(1, 10, 9, 10).caught_up()
    assert not sample(1, 10, 10, 10, others=9).caught_up()
    assert not Sample(1, 0, {0: 1, 1: 1}, {group: {0: 1, 1: 1} for group in GROUPS} | {FANOUT: {0: 1}}).caught_up()


def test_what_is_behind_is_named() -> None:
    assert sample(1, 10, 10, 7).behind() == "crypto-streams-fanout 0: 7 of 10"
