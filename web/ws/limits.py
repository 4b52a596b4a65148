"""Limits that need no socket: how fast one client may command, how many connections one address may hold."""

from collections import Counter


class TokenBucket:
    """Allows ``burst`` at once and ``per_second`` in the long run; ``now`` is seconds of a monotonic clock."""

    def __init__(self, per_second: float, burst: int, now: float) -> None:
        self._per_second, self._burst = per_second, burst
        self._tokens, self._filled_at = float(burst), now

    def take(self, now: float) -> bool:
        """Take one token; False if there is none."""
        # A clock that goes back would otherwise take tokens away.
        elapsed = max(0.0, now - self._filled_at)
        self._tokens = min(float(self._burst), self._tokens + elapsed * self._per_second)
        self._filled_at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


class ConnectionCounts:
    """How many connections there are, in all and per address."""

    def __init__(self, most: int, most_per_address: int) -> None:
        self._most, self._most_per_address = most, most_per_address
        self._by_address: Counter[str] = Counter()
        self.total = 0

    def refusal(self, address: str, *, exempt: bool) -> str | None:
        """Why one more connection cannot be had, None if it can; ``exempt`` addresses count only in all."""
        if self.total >= self._most:
            return "too many connections"
        if not exempt and self._by_address[address] >= self._most_per_address:
            return "too many connections from this address"
        return None

    def add(self, address: str) -> None:
        """Count a connection."""
        self.total += 1
        self._by_address[address] += 1

    def remove(self, address: str) -> None:
        """Forget a connection."""
        self.total -= 1
        self._by_address[address] -= 1
        # An address that is gone leaves nothing behind: there are more of them than memory.
        if not self._by_address[address]:
            del self._by_address[address]
