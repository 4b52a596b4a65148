"""Revisions: exact everywhere, ordered by rank and then by time, never repeated."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import CandleError
from ingest.revision import EPOCH_US, MAX_RANK, MAX_REV, HybridClock, make_rev, rank_of, time_ms_of, time_us_of

ranks = st.integers(0, MAX_RANK)
times = st.integers(EPOCH_US, EPOCH_US + 2**50 - 1)


def test_has_the_layout_that_others_rely_on() -> None:
    # 2020-11-23T21:17:00.000001Z in state open
    rev = make_rev(1, 1_606_166_220_000_001)

    assert rev == 1 << 50 | (1_606_166_220_000_001 - 1_577_836_800_000_000)


@given(ranks, times)
def test_rank_and_time_come_back(rank: int, time_us: int) -> None:
    rev = make_rev(rank, time_us)

    assert (rank_of(rev), time_us_of(rev), time_ms_of(rev)) == (rank, time_us, time_us // 1000)


@given(ranks, times)
def test_is_exact_as_a_double(rank: int, time_us: int) -> None:
    rev = make_rev(rank, time_us)

    assert int(float(rev)) == rev <= MAX_REV < 2**53


@given(ranks, times, ranks, times)
def test_a_surer_state_outweighs_any_later_time(rank: int, time_us: int, other_rank: int, other_us: int) -> None:
    assert (make_rev(rank, time_us) < make_rev(other_rank, other_us)) == ((rank, time_us) < (other_rank, other_us))


@pytest.mark.parametrize(("rank", "time_us"), [(-1, EPOCH_US), (5, EPOCH_US), (0, EPOCH_US - 1), (0, EPOCH_US + 2**50)])
def test_refuses_what_does_not_fit(rank: int, time_us: int) -> None:
    with pytest.raises(ValueError, match="is not within"):
        make_rev(rank, time_us)


@given(st.lists(st.tuples(ranks, st.integers(-(10**9), 10**9)), max_size=50))
def test_a_clock_never_repeats_and_never_goes_back(readings: list[tuple[int, int]]) -> None:
    now = EPOCH_US + 10**12
    clock = HybridClock(lambda: now)
    revs = []

    for rank, jump_us in readings:
        now = max(EPOCH_US, now + jump_us)
        revs.append(clock.next_rev(rank))

    made_at = [time_us_of(rev) for rev in revs]
    assert made_at == sorted(set(made_at))
    assert [rank_of(rev) for rev in revs] == [rank for rank, _ in readings]


def test_a_clock_follows_the_time_when_it_runs() -> None:
    clock = HybridClock(lambda: EPOCH_US + 500)

    assert [time_us_of(clock.next_rev(1)) - EPOCH_US for _ in range(2)] == [500, 501]


@given(ranks, times, ranks)
def test_a_clock_can_be_set_past_what_an_earlier_process_wrote(rank: int, time_us: int, next_rank: int) -> None:
    clock = HybridClock(lambda: EPOCH_US)
    clock.advance_past(make_rev(rank, min(time_us, EPOCH_US + 2**50 - 2)))

    assert time_us_of(clock.next_rev(next_rank)) > min(time_us, EPOCH_US + 2**50 - 2)


def test_an_older_revision_does_not_set_a_clock_back() -> None:
    clock = HybridClock(lambda: EPOCH_US)
    clock.advance_past(make_rev(1, EPOCH_US + 1000))

    clock.advance_past(make_rev(4, EPOCH_US + 10))

    assert time_us_of(clock.next_rev(1)) == EPOCH_US + 1001


@pytest.mark.parametrize("rev", [-1, MAX_REV + 1])
def test_a_clock_refuses_what_is_no_revision(rev: int) -> None:
    with pytest.raises(CandleError, match=r"^rev is "):
        HybridClock(lambda: EPOCH_US).advance_past(rev)
