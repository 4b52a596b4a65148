"""Up to which moment everything is safely in Kafka. Pure bookkeeping, no Kafka.

Records are acknowledged out of order, and some never are because a newer version took their place. A mark is placed
after a record; it is *reached* once every record before it has been resolved. Beats publish what has been reached,
and a restarted process takes the start of its blindness from there.
"""

from collections import deque
from typing import Final, Generic, TypeVar

T = TypeVar("T")

#: Marks that may wait at once. While Kafka is away one is placed per second; beyond this they become coarser.
MAX_MARKS: Final = 10_000


class Mark(Generic[T]):
    """The records between two places; `Marks` makes them."""

    __slots__ = ("_marks", "number", "place", "unresolved")

    def __init__(self, marks: "Marks[T]", number: int) -> None:
        self._marks, self.number = marks, number
        self.unresolved = 0
        self.place: T | None = None

    def resolve(self) -> None:
        """One record is acknowledged, or its loss has been reported."""
        self.unresolved -= 1
        self._marks.advance()


class Marks(Generic[T]):
    """The marks of one exchange, oldest first; the last is the one that new records belong to."""

    def __init__(self, limit: int = MAX_MARKS) -> None:
        self._limit = limit
        self._current = Mark(self, 0)
        self._placed: deque[Mark[T]] = deque()
        self.reached: T | None = None

    @property
    def waiting(self) -> int:
        """How many places wait to be reached."""
        return len(self._placed)

    def open(self) -> Mark[T]:
        """Count one more unresolved record and return the mark to resolve it with."""
        self._current.unresolved += 1
        return self._current

    def place(self, place: T) -> None:
        """Say that every record so far lies before ``place``."""
        if len(self._placed) >= self._limit:
            # The records since the last mark wait for the next one: coarser, never too early.
            return
        self._current.place = place
        self._placed.append(self._current)
        self._current = Mark(self, self._current.number + 1)
        self.advance()

    def advance(self) -> None:
        """Move `reached` over every mark that has nothing unresolved before it."""
        while self._placed and self._placed[0].unresolved == 0:
            self.reached = self._placed.popleft().place
