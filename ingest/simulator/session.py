"""The contract between a dialect and the server: one connection's protocol, without a socket.

All times handed in are wall times in Unix milliseconds. A session never sleeps and never reads a clock.
"""

from dataclasses import dataclass
from typing import Protocol

from ingest.simulator.faults import Faults
from ingest.simulator.state import MarketTime


@dataclass(frozen=True, slots=True)
class Market:
    """What all sessions share: the seed, updates per minute, the clock, and the faults asked for."""

    seed: int
    updates_per_minute: int
    time: MarketTime
    faults: Faults


class Session(Protocol):
    """One client's connection."""

    def opening(self, now_ms: int) -> list[str]:
        """Frames that the exchange sends unasked as soon as a client has connected."""

    def receive(self, message: str | bytes, now_ms: int) -> list[str]:
        """Replies to one message of the client. Total: never raises, whatever the message holds."""

    def due(self, now_ms: int, limit: int) -> list[str]:
        """Frames whose time has come, in order; about ``limit`` at most, the rest stays due."""

    def next_due_ms(self) -> int | None:
        """When `due` or `expired` should be asked next; None if nothing will come by itself."""

    def expired(self, now_ms: int) -> bool:
        """Whether the exchange would close the connection now because its client is idle."""
