"""The thread by which a bridge applies batches itself when nobody else does."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Final

from workers.assignment import Assignment
from workers.completions import Completion
from workers.errors import SeriesCollision
from workers.jobs import Refused
from workers.watermark import Batch

logger = logging.getLogger(__name__)

RETRY_SECONDS: Final = 0.5


@dataclass(frozen=True)
class Applied:
    """A batch that the bridge applied itself."""

    assignment: Assignment
    batch: Batch
    refused: Refused


class Applier:
    """Applies batches one after the other until each took effect or is no longer wanted.

    Results go ``into`` the same queue as the workers' completions. At most the bridge's batches in flight are here.
    """

    def __init__(
        self,
        into: "SimpleQueue[Completion | Applied]",
        upkeep: Callable[[], None] = lambda: None,
        upkeep_seconds: float = 0.2,
    ) -> None:
        """``upkeep`` is called so often, between two batches."""
        self._into, self._upkeep, self._upkeep_seconds = into, upkeep, upkeep_seconds
        self._upkeep_due_at = float("-inf")
        self._batches: SimpleQueue[tuple[Assignment, Batch]] = SimpleQueue()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="applier", daemon=True)
        #: Why the bridge cannot go on at all.
        self.fatal: SeriesCollision | None = None

    def start(self) -> None:
        """Start applying."""
        self._thread.start()

    def stop(self) -> None:
        """Stop after the current batch."""
        self._stopping.set()

    @property
    def waiting(self) -> int:
        """How many batches wait for it, those that are no longer wanted included."""
        return self._batches.qsize()

    def submit(self, assignment: Assignment, batch: Batch) -> None:
        """Apply a batch soon."""
        self._batches.put((assignment, batch))

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._keep_up()
            try:
                assignment, batch = self._batches.get(timeout=self._upkeep_seconds)
            except Empty:
                continue
            # The list is taken first: the main loop empties it when a worker's completion comes after all.
            rows = [(row.offset, row.text) for row in batch.rows]
            if batch.applied or assignment.abandoned:
                continue
            refused = self._apply(assignment, rows)
            if refused is not None:
                self._into.put(Applied(assignment, batch, refused))
            elif self.fatal is None:
                self._batches.put((assignment, batch))
                self._stopping.wait(RETRY_SECONDS)

    def _keep_up(self) -> None:
        if time.monotonic() < self._upkeep_due_at:
            return
        pause = self._upkeep_seconds
        try:
            self._upkeep()
        except Exception:
            logger.exception("upkeep failed, trying again")
            pause = max(pause, RETRY_SECONDS)
        self._upkeep_due_at = time.monotonic() + pause

    def _apply(self, assignment: Assignment, rows: list[tuple[int, str]]) -> Refused | None:
        try:
            return assignment.apply(rows)
        except SeriesCollision as error:
            self.fatal = error
        except Exception:
            logger.exception("cannot apply a batch", extra=assignment.where)
        return None
