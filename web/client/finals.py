"""In which order the finals of one series are told: each open time once, ascending, and no hole that will be filled.

Finals come from two sides. The live side tells them at once but may skip some; the store has every one, but batches
are written side by side, so a later final may be there before an earlier one whose writer was killed. A final that
follows the last one told is told at once, wherever it comes from. One beyond a hole waits: for the hole to be filled,
or until the store, read again a good while after it had something beyond the hole, still has nothing there. Then
nothing will come: the minute had no trade, or could not be proven.

Sans I/O: candles, the results of reads and the time go in, candles come out.
"""

from collections import deque
from collections.abc import Iterable
from typing import Final

from ingest.candle import Candle, State

#: How long a hole may still be filled (seconds): a bridge that is killed leaves its rows to another one, which gets
#: them 45 s later.
SETTLE_SECONDS: Final = 60.0
_FINAL: Final = (State.FINAL, State.CORRECTED)


class Finals:
    """What of one series' finals has been told, and what waits.

    Args:
        interval_ms: The candles' length.
        told_until_ms: Everything that opens up to here counts as told; -1: nothing.
        settle_seconds: How long a hole may still be filled.
    """

    def __init__(self, interval_ms: int, told_until_ms: int, settle_seconds: float = SETTLE_SECONDS) -> None:
        self._interval_ms, self._settle_seconds = interval_ms, settle_seconds
        self.told_until_ms = told_until_ms
        self._waiting: dict[int, Candle] = {}
        # When, and up to which open time, the store was seen to have finals; both ascend.
        self._stored: deque[tuple[float, int]] = deque()

    @property
    def waits(self) -> bool:
        """Whether finals wait behind a hole."""
        return bool(self._waiting)

    def note_stored(self, open_time_ms: int, now: float) -> None:
        """The store has a final that opens then: what lies before it is being written, too."""
        if not self._stored or open_time_ms > self._stored[-1][1]:
            self._stored.append((now, open_time_ms))

    def hear(self, candles: Iterable[Candle]) -> list[Candle]:
        """Take candles as the live side tells them, in any order and state; those to be told now, in their order."""
        self._keep(candles)
        return self._take_up_to(self.told_until_ms)

    def read(self, candles: Iterable[Candle], until_ms: int, began_at: float, now: float) -> list[Candle]:
        """Take what the store has from `told_until_ms` to ``until_ms``; those to be told now, in their order.

        Args:
            candles: All finals that it has there.
            until_ms: The last open time that was read, inclusive.
            began_at: When the read began; monotonic seconds, as ``now``.
            now: When it ended.
        """
        self._keep(candles)
        self.note_stored(until_ms, now)
        return self._take_up_to(min(until_ms, self._settled_until(began_at)))

    def _keep(self, candles: Iterable[Candle]) -> None:
        for candle in candles:
            if candle.state not in _FINAL or candle.timestamp <= self.told_until_ms:
                continue
            held = self._waiting.get(candle.timestamp)
            if held is None or held.rev < candle.rev:
                self._waiting[candle.timestamp] = candle

    def _settled_until(self, began_at: float) -> int:
        settled = -1
        while self._stored and self._stored[0][0] <= began_at - self._settle_seconds:
            settled = self._stored.popleft()[1]
        if settled >= 0:
            # Still needed: a later page of the same range is settled by it as well.
            self._stored.appendleft((float("-inf"), settled))
        return settled

    def _take_up_to(self, settled_ms: int) -> list[Candle]:
        told = [self._waiting.pop(each) for each in sorted(self._waiting) if each <= settled_ms]
        if told:
            self.told_until_ms = told[-1].timestamp
        # On the grid: a beginning that lies between two open times is followed by the later one.
        following = (self.told_until_ms // self._interval_ms + 1) * self._interval_ms
        while following in self._waiting:
            told.append(self._waiting.pop(following))
            self.told_until_ms = following
            following += self._interval_ms
        return told
