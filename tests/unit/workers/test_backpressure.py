"""When reading pauses and goes on."""

from workers.backpressure import GATHER_AT, GATHER_SECONDS, MAX_HELD, PAUSE_AT, RESUME_AT, Backpressure


def test_pauses_at_the_cap_and_resumes_at_half() -> None:
    backpressure, changes = Backpressure(), []

    for _ in range(PAUSE_AT):
        backpressure.added()
        changes.append(backpressure.change(held=0))
    for _ in range(PAUSE_AT):
        backpressure.removed()
        changes.append(backpressure.change(held=0))

    expected: list[bool | None] = [None] * (PAUSE_AT - 1) + [True]
    expected += [None] * (PAUSE_AT - RESUME_AT - 1) + [False] + [None] * RESUME_AT
    assert changes == expected


def test_pauses_when_done_batches_pile_up_behind_one_that_is_not() -> None:
    backpressure = Backpressure()

    changes = [backpressure.change(held) for held in (MAX_HELD - 1, MAX_HELD, MAX_HELD, 0)]

    assert changes == [None, True, None, False]


def test_batches_grow_while_many_are_under_way() -> None:
    backpressure = Backpressure()
    idle = backpressure.batch_seconds(0.0)

    for _ in range(GATHER_AT):
        backpressure.added()

    assert (idle, backpressure.batch_seconds(0.0)) == (0.0, GATHER_SECONDS)
