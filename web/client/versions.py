"""Which versions of a series' candles have been seen: of each open time only a higher ``rev`` is news."""

from typing import Final

from ingest.candle import Candle

#: Open times that are remembered at least: two weeks of minutes.
REMEMBERED: Final = 20_000


class Versions:
    """The highest ``rev`` by open time, of the newest ``remembered`` to twice as many open times.

    A candle older than that is never news: whether it is newer than what was seen could not be told any more.
    """

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._revs: dict[int, int] = {}
        self._forgotten_below = 0
        #: The newest open time seen, Unix milliseconds.
        self.newest: int | None = None

    def is_news(self, candle: Candle) -> bool:
        """Whether this version is above every one seen of its open time; it counts as seen from now on."""
        if candle.timestamp < self._forgotten_below or candle.rev <= self._revs.get(candle.timestamp, -1):
            return False
        self._revs[candle.timestamp] = candle.rev
        self.newest = max(candle.timestamp, self.newest or 0)
        if len(self._revs) > 2 * self._remembered:
            self._forget_the_oldest()
        return True

    def _forget_the_oldest(self) -> None:
        kept = sorted(self._revs)[-self._remembered :]
        self._forgotten_below = kept[0]
        self._revs = {timestamp: self._revs[timestamp] for timestamp in kept}
