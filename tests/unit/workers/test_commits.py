"""A store that holds the last watermark may be an older copy all the same, and what it lacks is read again."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, cast

import pytest
from confluent_kafka import Consumer

from ingest.topics import CANDLES
from tests.conftest import FakeClock
from workers.assignment import Assignment
from workers.batching import candle_version
from workers.commits import Commits, Lacking
from workers.policies import Source
from workers.starts import Start
from workers.store import CandleStore, Watermark
from workers.watermark import Batch

STORED = 10


class AtOnce(Executor):
    """Does everything when it is asked to."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Do it."""
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class Watermarks:
    """A store as far as it keeps the watermark of one partition."""

    def __init__(self) -> None:
        self.held = Watermark(STORED, 7)

    def advance_watermark(self, key: str, offset: int, *, at_least: Watermark | None = None) -> Watermark:
        """Raise it, unless the store is an older copy."""
        before = self.held
        if at_least is None or (before.offset >= at_least.offset and before.advances >= at_least.advances):
            self.held = Watermark(max(before.offset, offset), before.advances + 1)
        return before


@pytest.fixture
def store() -> Watermarks:
    return Watermarks()


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch, clock: FakeClock, store: Watermarks) -> Commits:
    monkeypatch.setattr("workers.commits.time.monotonic", clock.monotonic)
    return Commits(cast(Consumer, None), "persist", cast(CandleStore, store), AtOnce())


@pytest.fixture
def assignment() -> Assignment:
    """Two batches are under way, and the second one is done first."""
    source = Source(candle_version, None, lambda: lambda rows: [])
    assignment = Assignment(CANDLES, 0, source, kept_in_store=True)
    assignment.begin(Start(CANDLES, 0, STORED, "key", STORED))
    for first in (STORED, STORED + 10):
        assignment.batches.add(Batch(first, first + 9, []))
    assignment.batches.mark_done(list(assignment.batches)[1])
    return assignment


def look(commits: Commits, assignment: Assignment, clock: FakeClock, seconds: int) -> list[Lacking]:
    """Look once a second, as a bridge does."""
    found = []
    for _ in range(seconds):
        clock.advance(1.0)
        found += commits.advance_in_store([assignment])
    return found


def test_what_took_effect_out_of_turn_is_read_again_when_the_store_is_an_older_copy(
    commits: Commits, assignment: Assignment, clock: FakeClock, store: Watermarks
) -> None:
    copy = store.held
    before = look(commits, assignment, clock, 3)
    store.held = copy
    assignment.batches.mark_done(next(iter(assignment.batches)))

    after = look(commits, assignment, clock, 2)

    assert (before, [each.offset for each in after[:1]]) == ([], [STORED])
    assert store.held == copy


def test_a_batch_that_waits_for_long_is_no_reason_to_read_again(
    commits: Commits, assignment: Assignment, clock: FakeClock, store: Watermarks
) -> None:
    before = look(commits, assignment, clock, 20)
    assignment.batches.mark_done(next(iter(assignment.batches)))

    after = look(commits, assignment, clock, 2)

    assert before + after == []
    assert store.held.offset == STORED + 20
