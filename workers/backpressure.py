"""How much may be under way between Kafka and the workers. Pure.

Kafka is the buffer: when too many batches are under way, reading pauses. Resuming costs half a second and more of
fetching, hence the distance between the two marks, and hence larger batches before it comes to that.
"""

from typing import Final

#: Batches under way at which reading pauses, and at which it goes on.
PAUSE_AT: Final = 32
RESUME_AT: Final = 16
#: From here on batches wait for more rows: fewer, larger jobs cost the workers less per row.
GATHER_AT: Final = 8
GATHER_SECONDS: Final = 0.2
#: Batches kept for the watermark, done ones behind an unfinished one included.
MAX_HELD: Final = 1000


class Backpressure:
    """Counts the batches of a bridge that are not done."""

    cap = PAUSE_AT

    def __init__(self) -> None:
        self.under_way = 0
        self.paused = False

    def added(self) -> None:
        """A batch was sent."""
        self.under_way += 1

    def removed(self) -> None:
        """A batch is done, or no longer ours."""
        self.under_way -= 1

    def batch_seconds(self, normal_seconds: float) -> float:
        """How long a batch may wait for more rows."""
        return normal_seconds if self.under_way < GATHER_AT else max(normal_seconds, GATHER_SECONDS)

    def change(self, held: int) -> bool | None:
        """True: pause now; False: resume now; None: leave it. ``held``: batches that are kept, done or not."""
        if not self.paused and (self.under_way >= PAUSE_AT or held >= MAX_HELD):
            self.paused = True
            return True
        if self.paused and self.under_way <= RESUME_AT and held < MAX_HELD:
            self.paused = False
            return False
        return None
