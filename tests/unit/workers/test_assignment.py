"""What a bridge may commit of a partition."""

import pytest

from ingest.topics import CANDLES
from workers.assignment import Assignment
from workers.batching import candle_version
from workers.policies import Source
from workers.starts import Start
from workers.watermark import Batch


def applied_up_to(last: int, owed_from: int | None) -> Assignment:
    """Everything up to an offset was applied; of some of it the effect may be still to come."""
    source = Source(candle_version, None, lambda: lambda rows: [], lambda apply: owed_from)
    assignment = Assignment(CANDLES, 0, source)
    assignment.begin(Start(CANDLES, 0, 10, "key", None))
    batch = Batch(10, last, [])
    assignment.batches.add(batch)
    assignment.batches.mark_done(batch)
    return assignment


@pytest.mark.parametrize(("owed_from", "expected"), [(None, 20), (15, 15), (25, 20)])
def test_a_row_whose_effect_is_still_to_come_is_not_committed(owed_from: int | None, expected: int) -> None:
    assignment = applied_up_to(19, owed_from)

    assert assignment.to_commit == expected


def test_what_is_committed_is_not_committed_again() -> None:
    assignment = applied_up_to(19, 15)

    assignment.committed = 15

    assert assignment.to_commit is None
