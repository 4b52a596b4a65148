"""The watermark and the leases, against every order in which batches can be done."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.watermark import Batch, Leases, PartitionBatches

LEASE_SECONDS = 5.0


def batch(first: int, last: int, sent_at: float | None = None) -> Batch:
    return Batch(first, last, [], sent_at=sent_at)


@st.composite
def batches_and_order(draw: st.DrawFn) -> tuple[int, list[Batch], list[int]]:
    """A start, batches above it with holes between them, and the order in which some of them are done."""
    start = draw(st.integers(0, 50))
    offset, batches = start, []
    for hole, length in draw(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5)), max_size=12)):
        batches.append(batch(offset + hole, offset + hole + length - 1))
        offset += hole + length
    order = draw(st.permutations(range(len(batches))))
    return start, batches, order[: draw(st.integers(0, len(batches)))]


@given(batches_and_order())
def test_watermark_is_the_end_of_the_longest_done_prefix(case: tuple[int, list[Batch], list[int]]) -> None:
    start, batches, order = case
    partition = PartitionBatches(start)
    for each in batches:
        partition.add(each)

    seen = []
    for index in order:
        partition.mark_done(batches[index])
        seen.append(partition.watermark)

    expected = []
    for count in range(1, len(order) + 1):
        prefix = 0
        while prefix in order[:count]:
            prefix += 1
        expected.append(batches[prefix - 1].last + 1 if prefix else start)
    assert seen == expected


@given(batches_and_order())
def test_no_undone_batch_lies_below_the_watermark(case: tuple[int, list[Batch], list[int]]) -> None:
    start, batches, order = case
    partition = PartitionBatches(start)
    for each in batches:
        partition.add(each)

    for index in order:
        partition.mark_done(batches[index])

    assert partition.watermark is not None
    assert [each for each in batches if not each.done and each.first < partition.watermark] == []


def test_knows_no_watermark_before_the_first_batch_of_an_unknown_start() -> None:
    partition = PartitionBatches(None)
    first = batch(7, 9)

    partition.add(first)
    before = partition.watermark
    partition.mark_done(first)

    assert (before, partition.watermark) == (None, 10)


@pytest.mark.parametrize("bounds", [(3, 3), (4, 4), (6, 5)])
def test_refuses_a_batch_that_does_not_follow(bounds: tuple[int, int]) -> None:
    partition = PartitionBatches(0)
    partition.add(batch(0, 4))

    with pytest.raises(ValueError, match="does not follow"):
        partition.add(batch(*bounds))


def test_finds_a_batch_by_both_bounds_only() -> None:
    partition = PartitionBatches(0)
    held = batch(0, 4)
    partition.add(held)

    found = [partition.find(*bounds) for bounds in ((0, 4), (0, 3), (1, 4), (5, 9))]

    assert found == [held, None, None, None]


def test_a_batch_is_overdue_after_a_lease_of_silence() -> None:
    leases, held = Leases(LEASE_SECONDS), batch(0, 4)
    leases.begin(held, 100.0)

    early = leases.lapse([held], 100.0 + LEASE_SECONDS - 0.01)
    due = leases.lapse([held], 100.0 + LEASE_SECONDS)

    assert (early, due, held.lapses) == ([], [held], 1)


def test_a_backlog_that_moves_is_not_sent_again() -> None:
    leases = Leases(LEASE_SECONDS)
    backlog = [batch(n, n) for n in range(10)]
    for each in backlog:
        leases.begin(each, 100.0)

    overdue = []
    for seconds, each in enumerate(backlog[:9], start=1):
        leases.completed(each, 100.0 + seconds)
        each.done = True
        overdue += leases.lapse(backlog, 100.5 + seconds)

    assert overdue == []


def test_a_batch_that_was_overtaken_by_a_lease_is_overdue() -> None:
    leases = Leases(LEASE_SECONDS)
    stranded, later, latest = batch(0, 0), batch(1, 1), batch(2, 2)
    leases.begin(stranded, 100.0)
    leases.begin(later, 100.0 + LEASE_SECONDS - 0.1)
    leases.begin(latest, 100.0 + LEASE_SECONDS)

    leases.completed(later, 105.5)
    before = leases.lapse([stranded], 105.5)
    leases.completed(latest, 105.6)
    after = leases.lapse([stranded], 105.6)

    assert (before, after) == ([], [stranded])


def test_a_batch_lapses_twice_and_is_then_left_to_the_bridge() -> None:
    leases, held = Leases(LEASE_SECONDS), batch(0, 0)
    lapsed_at = []

    leases.begin(held, 0.0)
    for tenths in range(300):
        if leases.lapse([held], tenths / 10):
            lapsed_at.append(tenths / 10)
            leases.begin(held, tenths / 10)

    assert lapsed_at == [LEASE_SECONDS, 2 * LEASE_SECONDS]


def test_queue_is_dead_after_two_leases_without_a_completion() -> None:
    leases, held = Leases(LEASE_SECONDS), batch(0, 0)
    states = []

    leases.begin(held, 100.0)
    for now in (105.0, 110.0):
        leases.lapse([held], now)
        leases.begin(held, now)
        states.append(leases.queue_dead)
    leases.completed(None, 111.0)
    states.append(leases.queue_dead)

    assert states == [False, True, False]


def test_a_dead_queue_is_probed_once_per_lease() -> None:
    leases, held = Leases(LEASE_SECONDS), batch(0, 0)
    leases.begin(held, 100.0)
    probes = [leases.probe_is_due(101.0)]
    for now in (105.0, 110.0):
        leases.lapse([held], now)
        leases.begin(held, now)

    probes += [leases.probe_is_due(now) for now in (110.0, 112.0, 115.0)]

    assert probes == [False, True, False, True]


def test_applied_and_done_batches_never_lapse() -> None:
    leases = Leases(LEASE_SECONDS)
    applied, done, unsent = batch(0, 0), batch(1, 1), batch(2, 2)
    leases.begin(applied, 0.0)
    leases.begin(done, 0.0)
    applied.applied = done.done = True

    overdue = leases.lapse([applied, done, unsent], 1000.0)

    assert overdue == []
