"""What a stream has for its reader: of each candle the newest version, in the order of their changes."""

import asyncio
from typing import Final

from ingest.candle import Candle

#: Candles that may wait before history is read any further.
ROOM: Final = 4_000


class Inbox:
    """Candles that wait to be taken.

    A reader that is slower than the market finds the newest version of each candle and not those in between, so what
    waits stays small however long it is away.
    """

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, int], Candle] = {}
        self._failure: Exception | None = None
        self._changed = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()

    def put(self, candle: Candle) -> None:
        """Add a candle, in the place of an older version of it if that waits still."""
        key = candle.pair, candle.timestamp
        # Taken out first: a dictionary keeps the place of a key that is merely assigned again.
        self._waiting.pop(key, None)
        self._waiting[key] = candle
        if len(self._waiting) >= ROOM:
            self._has_room.clear()
        self._changed.set()

    def fail(self, error: Exception) -> None:
        """Let the reader have this error once it has taken everything."""
        self._failure = self._failure or error
        self._changed.set()

    async def room(self) -> None:
        """Return once there is room for history."""
        await self._has_room.wait()

    async def take(self) -> Candle:
        """The candle that has waited longest.

        Raises:
            Exception: What `fail` was given, when nothing waits any more.
        """
        while not self._waiting:
            if self._failure is not None:
                raise self._failure
            self._changed.clear()
            await self._changed.wait()
        candle = self._waiting.pop(next(iter(self._waiting)))
        if len(self._waiting) < ROOM:
            self._has_room.set()
        return candle
