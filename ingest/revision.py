"""rev: the number that lets a candle only move forward.

``rev = rank << 50 | microseconds since 2020-01-01T00:00Z``. A surer state outweighs any later time; within a
state the later version wins. It stays below 2^53 until 2055, so it is exact in JSON, JavaScript and Lua.
"""

from collections.abc import Callable

from ingest.errors import CandleError

RANK_BITS_SHIFT = 50
#: Unix time of 2020-01-01T00:00Z in microseconds.
EPOCH_US = 1_577_836_800_000_000
MAX_RANK = 4
MAX_REV = (MAX_RANK + 1 << RANK_BITS_SHIFT) - 1
_TIME_MASK = (1 << RANK_BITS_SHIFT) - 1


def make_rev(rank: int, unix_us: int) -> int:
    """Join a rank (0 to 4) and a Unix time in microseconds.

    Raises:
        ValueError: If the rank is unknown, or the time is before 2020 or after 2055.
    """
    since_epoch = unix_us - EPOCH_US
    if not 0 <= rank <= MAX_RANK:
        raise ValueError(f"rank {rank} is not within 0 to {MAX_RANK}")
    if not 0 <= since_epoch <= _TIME_MASK:
        raise ValueError(f"{unix_us} µs is not within 2020 to 2055")
    return rank << RANK_BITS_SHIFT | since_epoch


def rank_of(rev: int) -> int:
    """The rank of the state that this revision carries."""
    return rev >> RANK_BITS_SHIFT


def time_us_of(rev: int) -> int:
    """When this revision was made, Unix microseconds."""
    return (rev & _TIME_MASK) + EPOCH_US


def time_ms_of(rev: int) -> int:
    """When this revision was made, Unix milliseconds."""
    return time_us_of(rev) // 1000


class HybridClock:
    """Microseconds that never repeat and never go back within one process: ``max(previous + 1, now)``.

    Not safe for use from several threads at once; each writer owns one.
    """

    def __init__(self, now_us: Callable[[], int]) -> None:
        self._now_us = now_us
        self._previous_us = EPOCH_US

    def advance_past(self, rev: int) -> None:
        """Make sure that every later revision of the same rank is above ``rev``.

        Called on start with the highest ``rev`` that an earlier process wrote: a clock that was set back
        meanwhile would otherwise let this process write versions that every store then ignores.

        Raises:
            CandleError: If ``rev`` lies outside what `make_rev` can produce.
        """
        if not 0 <= rev <= MAX_REV:
            raise CandleError("rev", rev, f"0 to {MAX_REV}")
        self._previous_us = max(self._previous_us, time_us_of(rev))

    def next_rev(self, rank: int) -> int:
        """A revision of this rank, above every earlier one of the same rank."""
        self._previous_us = max(self._previous_us + 1, self._now_us())
        return make_rev(rank, self._previous_us)
