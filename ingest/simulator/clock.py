"""The market's own clock: it begins in the past, hurries until it has caught up, and then keeps the wall clock's time.

Pure arithmetic on Unix milliseconds; `ingest.simulator.state` remembers where it began.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

MINUTE_MS: Final = 60_000

#: How long the clock stands at its beginning (wall time), so that all subscriptions of a first burst see the first
#: minute whole.
HOLD_MS: Final = 200

#: The exchange's first update of a subscription comes this long after the acknowledgement (market time).
FIRST_UPDATE_MS: Final = 2_000


@dataclass(frozen=True, slots=True)
class MarketClock:
    """Market time as a function of wall time.

    Attributes:
        wall_ms: When the market began to move.
        market_ms: What its clock showed then; `FIRST_UPDATE_MS` before a minute.
        speed: Market seconds per second until it has caught up; 1 or more.
    """

    wall_ms: int
    market_ms: int
    speed: Decimal

    @classmethod
    def begin(cls, now_ms: int, lead_ms: int, speed: Decimal) -> "MarketClock":
        """The clock of a market whose first subscription comes at ``now_ms`` (wall time) and that begins before it.

        Args:
            now_ms: Wall time.
            lead_ms: How long before ``now_ms``; rounded up so that the first update opens a minute.
            speed: Market seconds per second.
        """
        return cls(now_ms + HOLD_MS, cls.beginning(now_ms, lead_ms), speed)

    @staticmethod
    def beginning(now_ms: int, lead_ms: int) -> int:
        """What the clock would show at first, were the first subscription to come now."""
        return (now_ms - lead_ms) // MINUTE_MS * MINUTE_MS - FIRST_UPDATE_MS

    @property
    def opening_ms(self) -> int:
        """Open time of the first minute of the market."""
        return self.market_ms + FIRST_UPDATE_MS

    def market_at(self, wall_ms: int) -> int:
        """Market time at a wall time; never after it, and never before the beginning."""
        numerator, denominator = self.speed.as_integer_ratio()
        elapsed = max(0, wall_ms - self.wall_ms) * numerator // denominator
        return max(self.market_ms, min(wall_ms, self.market_ms + elapsed))

    def wall_at(self, market_ms: int) -> int:
        """The first wall time at which `market_at` gives ``market_ms`` or more, for a time after the beginning."""
        numerator, denominator = self.speed.as_integer_ratio()
        since = max(0, market_ms - self.market_ms)
        return max(market_ms, self.wall_ms + -(-since * denominator // numerator))
