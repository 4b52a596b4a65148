"""The thread that applies batches by itself: what waits for it."""

import time
from dataclasses import replace
from queue import SimpleQueue

from workers.applier import RETRY_SECONDS, Applied, Applier
from workers.assignment import Assignment
from workers.completions import Completion
from workers.policies import PERSIST
from workers.watermark import Batch, Row

SECONDS = 5.0


def test_tells_how_many_batches_wait_and_forgets_the_unwanted_ones() -> None:
    results: SimpleQueue[Completion | Applied] = SimpleQueue()
    applier = Applier(results)
    (source,) = PERSIST.sources.values()
    source = replace(source, begin=lambda: lambda rows: [])
    unwanted, wanted = (Assignment("candles", 0, source) for _ in range(2))
    unwanted.abandoned = True
    empty = Batch(3, 3, [])
    for number in range(3):
        applier.submit(unwanted, Batch(number, number, [Row(number, "{}")]))
    applier.submit(wanted, empty)

    waiting = [applier.waiting]
    applier.start()
    result = results.get(timeout=SECONDS)
    waiting.append(applier.waiting)
    applier.stop()

    assert waiting == [4, 0]
    assert result == Applied(wanted, empty, [])


def test_upkeep_that_failed_waits_before_it_is_tried_again() -> None:
    calls: SimpleQueue[float] = SimpleQueue()

    def fail() -> None:
        calls.put(time.monotonic())
        raise OSError("away")

    applier = Applier(SimpleQueue(), fail, upkeep_seconds=0.01)
    applier.start()
    first, second = calls.get(timeout=SECONDS), calls.get(timeout=SECONDS)
    applier.stop()

    assert second - first >= RETRY_SECONDS
