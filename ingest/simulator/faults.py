"""What the simulated exchange can do wrong, on demand: switches for tests, each one deterministic.

Counters are used up by the next candle frames, of whichever connection; flags hold until they are cleared.
"""

from collections import deque
from dataclasses import dataclass, field


@dataclass
class Faults:
    """The switches; all off."""

    #: So many candle frames get their sequence number and are never sent.
    skip: int = 0
    #: So many candle frames are sent twice.
    duplicate: int = 0
    #: So many candle frames are cut in half: no longer JSON.
    malformed: int = 0
    #: Open times in seconds, as Blockchain.com's documentation shows them.
    seconds: bool = False
    #: Nothing is sent any more, while protocol pings go on: a half-dead connection.
    silent: bool = False
    #: Bodies of frames to send before the next candle, numbered like all others: unknown events, late candles,
    #: candles of pairs that nobody asked for. Values may be `Decimal`.
    injected: deque[dict[str, object]] = field(default_factory=deque)

    def disturb(self, frame: str) -> list[str]:
        """What is sent in place of a candle frame."""
        if self.skip > 0:
            self.skip -= 1
            return []
        if self.malformed > 0:
            self.malformed -= 1
            return [frame[: len(frame) // 2]]
        if self.duplicate > 0:
            self.duplicate -= 1
            return [frame, frame]
        return [frame]
