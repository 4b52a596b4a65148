"""Reconnect delays: jittered, bounded, and back to the first only on request."""

import random

from hypothesis import given
from hypothesis import strategies as st

from ingest.backoff import Backoff


class Most(random.Random):
    """Always the longest delay."""

    def uniform(self, a: float, b: float) -> float:
        return b


def test_doubles_up_to_the_cap() -> None:
    backoff = Backoff(0.5, 30.0, Most())

    assert [backoff.next_delay_seconds() for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]


def test_starts_again_after_a_reset() -> None:
    backoff = Backoff(0.5, 30.0, Most())
    for _ in range(5):
        backoff.next_delay_seconds()

    backoff.reset()

    assert backoff.next_delay_seconds() == 0.5


def test_survives_a_night_of_failures() -> None:
    backoff = Backoff(0.5, 30.0, Most())

    assert {backoff.next_delay_seconds() for _ in range(5000)} == {0.5, 1, 2, 4, 8, 16, 30}


@given(st.integers(0, 2**32), st.floats(0.001, 10), st.floats(10, 100))
def test_every_delay_lies_between_nothing_and_the_cap(seed: int, first: float, cap: float) -> None:
    backoff = Backoff(first, cap, random.Random(seed))

    delays = [backoff.next_delay_seconds() for _ in range(12)]

    assert min(delays) >= 0
    assert max(delays) <= cap
    assert delays[0] <= first
