"""At most so many updates a second of one series for one client, sans I/O.

What comes too fast waits, the newest version of each candle, in the order of their changes. Finals and corrections
never wait: they are what a client must not miss. One that overtakes what waits must not carry a cursor beyond it, or
a client that resumes from there would never get what waited.
"""

from typing import Final

from ingest.candle import State
from web.ws.mirror import Change
from web.ws.stream import Cursor

#: Candles that wait; beyond, the one that waits longest goes at once.
MAX_WAITING: Final = 100
_AT_ONCE: Final = (State.FINAL, State.CORRECTED)

#: A change that is due, and the cursor that it carries.
Due = tuple[Change, Cursor | None]


class RateLimit:
    """One client's share of one series.

    Args:
        per_second: How many updates.
        cursor: Up to where the client has everything.
    """

    def __init__(self, per_second: float, cursor: Cursor | None) -> None:
        self._spacing_seconds = 1.0 / per_second
        self._cursor = cursor
        self._waiting: dict[int, Change] = {}
        self._next_at = float("-inf")

    @property
    def due_at(self) -> float | None:
        """When `take_due` has something, in seconds of the clock that ``now`` is of; None: nothing waits."""
        return self._next_at if self._waiting else None

    def put(self, change: Change, now: float) -> list[Due]:
        """Take a change; returns what is due at once."""
        # Taken out first, so that a newer version goes to the end.
        self._waiting.pop(change.candle.timestamp, None)
        if change.candle.state in _AT_ONCE:
            if not self._waiting:
                self._cursor = change.cursor
            return [(change, self._cursor)]
        self._waiting[change.candle.timestamp] = change
        if len(self._waiting) > MAX_WAITING:
            return [self._take_first()]
        return self.take_due(now)

    def take_due(self, now: float) -> list[Due]:
        """What is due by now, if anything."""
        if not self._waiting or now < self._next_at:
            return []
        self._next_at = now + self._spacing_seconds
        return [self._take_first()]

    def _take_first(self) -> Due:
        change = self._waiting.pop(next(iter(self._waiting)))
        self._cursor = change.cursor
        return change, self._cursor
