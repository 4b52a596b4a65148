"""Time, as something that is handed in: tests bring their own."""

import time
from typing import Protocol


class Clock(Protocol):
    """What the rest of the code asks for the time."""

    def now_us(self) -> int:
        """Unix time in microseconds; may jump when the machine's clock is set."""

    def monotonic(self) -> float:
        """Seconds that never go back, for time-outs and leases."""


class SystemClock:
    """The machine's clocks."""

    def now_us(self) -> int:
        """Unix time in microseconds."""
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""
        return time.monotonic()


def now_ms(clock: Clock) -> int:
    """Unix time in milliseconds."""
    return clock.now_us() // 1000
