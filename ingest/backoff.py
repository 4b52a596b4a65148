"""Reconnect delays: exponential with full jitter, so that clients of a restarted server do not come back at once."""

import random


class Backoff:
    """Delays before the next attempt; `reset` once data has come.

    Not reset by a mere connect: a server that accepts and then drops would otherwise be hammered.
    """

    def __init__(
        self, first_seconds: float = 0.5, cap_seconds: float = 30.0, jitter: random.Random | None = None
    ) -> None:
        self._first_seconds, self._cap_seconds = first_seconds, cap_seconds
        self._jitter = jitter or random.Random()
        self._attempts = 0

    def next_delay_seconds(self) -> float:
        """A random delay from 0 to ``first * 2^attempts``, at most the cap."""
        # The exponent is bounded: 2.0 ** 1024 would overflow after a night of failures.
        ceiling = min(self._cap_seconds, self._first_seconds * 2.0 ** min(self._attempts, 32))
        self._attempts += 1
        return self._jitter.uniform(0, ceiling)

    def reset(self) -> None:
        """Start again from the first delay."""
        self._attempts = 0
