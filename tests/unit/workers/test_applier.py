"""The thread that applies batches by itself: what waits for it."""

from dataclasses import replace
from queue import SimpleQueue

from workers.applier import Applied, Applier
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
