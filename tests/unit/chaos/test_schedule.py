"""The plan of a run under faults is a function of its seed, and keeps its bounds."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.faults import FAULTS, KINDS
from tests.chaos.schedule import LEAD_SECONDS, MOST, REST_SECONDS, Planned, choose, line_up, plan

seeds = st.integers(0, 2**32)
lengths = st.floats(5, 120)


@given(seeds, lengths)
def test_the_same_seed_gives_the_same_plan(seed: int, seconds: float) -> None:
    assert plan(seed, seconds, FAULTS) == plan(seed, seconds, FAULTS)


@given(seeds, lengths)
def test_every_fault_lies_within_the_run_and_lasts_as_long_as_its_kind_may(seed: int, seconds: float) -> None:
    planned = plan(seed, seconds, FAULTS)

    assert 1 <= len(planned) <= MOST
    assert [each.at for each in planned] == sorted(each.at for each in planned)
    for each in planned:
        shortest, longest = FAULTS[each.fault].seconds
        assert each.at >= LEAD_SECONDS
        assert each.until <= seconds - REST_SECONDS + 0.02
        assert shortest - 0.01 <= each.seconds <= longest + 0.01


@given(seeds, lengths)
def test_exclusive_faults_never_overlap(seed: int, seconds: float) -> None:
    for first, second in itertools.combinations(plan(seed, seconds, FAULTS), 2):
        one, other = FAULTS[first.fault], FAULTS[second.fault]
        if one.alone or other.alone or one.target == other.target:
            assert first.until < second.at


def test_twenty_seeds_of_the_usual_length_have_four_to_seven_faults_each() -> None:
    counts = {len(plan(seed, 25.0, FAULTS)) for seed in range(1, 21)}

    assert counts <= {4, 5, 6, 7}
    assert len(counts) > 1


def test_every_kind_is_drawn_sooner_or_later() -> None:
    drawn = {FAULTS[each.fault].kind for seed in range(200) for each in plan(seed, 25.0, FAULTS)}

    assert drawn == set(KINDS)


def test_named_faults_come_one_after_the_other() -> None:
    planned = line_up(["kill:ingest", "stop:redis", "kill:ws"], FAULTS)

    assert planned == [Planned(1.0, "kill:ingest", 0.0), Planned(2.0, "stop:redis", 5.0), Planned(8.0, "kill:ws", 0.0)]


def test_faults_are_chosen_by_name_kind_and_pattern_in_the_order_asked_for() -> None:
    assert choose(["second", "kill:ws", "flush:*"], FAULTS) == [
        "second:bridge-persist",
        "second:bridge-fanout",
        "second:bridge-rollup",
        "second:bridge-rollup-live",
        "kill:ws",
        "flush:redis",
    ]


def test_a_fault_that_does_not_exist_is_named() -> None:
    with pytest.raises(ValueError, match="no fault matches 'rain'; kinds are kill, term"):
        choose(["kill", "rain"], FAULTS)
