"""Where the market began, kept in a file: a restarted simulator goes on where it would have been.

The file also holds what the beginning was made from. When those settings change, the market begins anew.
"""

import logging
import os
from decimal import Decimal
from pathlib import Path

import msgspec

from ingest.settings import Settings
from ingest.simulator.clock import MarketClock

logger = logging.getLogger(__name__)


class _State(msgspec.Struct, frozen=True):
    sim_start: int
    sim_speed: Decimal
    sim_seed: int
    wall_ms: int
    market_ms: int


class MarketTime:
    """The clock that all connections share; it starts with the first subscription."""

    def __init__(self, settings: Settings) -> None:
        """Read the beginning of an earlier run, if there was one with the same settings."""
        self._settings = settings
        self._path = settings.sim_state
        self._clock = self._load()

    @property
    def clock(self) -> MarketClock | None:
        """The market's clock; None before the first subscription."""
        return self._clock

    def begin(self, now_ms: int) -> MarketClock:
        """Start the market unless it is running, and remember when; ``now_ms`` is wall time.

        Raises:
            OSError: If the beginning cannot be written; a market that a restart would move must not start.
        """
        if self._clock is None:
            clock = MarketClock.begin(now_ms, self._settings.sim_start, self._settings.sim_speed)
            self._store(clock)
            self._clock = clock
            logger.info("the market begins", extra={"market_ms": clock.opening_ms, "speed": str(clock.speed)})
        return self._clock

    def market_at(self, wall_ms: int) -> int:
        """Market time; before the first subscription, what it would be if that came now."""
        if self._clock is None:
            return MarketClock.beginning(wall_ms, self._settings.sim_start)
        return self._clock.market_at(wall_ms)

    def _load(self) -> MarketClock | None:
        try:
            state = msgspec.json.decode(self._path.read_bytes(), type=_State)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            logger.warning("the market begins anew: its state cannot be read", extra=self._named(str(error)))
            return None
        settings = self._settings
        if (state.sim_start, state.sim_speed, state.sim_seed) != (
            settings.sim_start,
            settings.sim_speed,
            settings.sim_seed,
        ):
            logger.info("the market begins anew: its settings changed", extra=self._named(""))
            return None
        return MarketClock(state.wall_ms, state.market_ms, state.sim_speed)

    def _store(self, clock: MarketClock) -> None:
        settings = self._settings
        state = _State(settings.sim_start, settings.sim_speed, settings.sim_seed, clock.wall_ms, clock.market_ms)
        write_atomically(self._path, msgspec.json.encode(state))

    def _named(self, reason: str) -> dict[str, str]:
        return {"path": str(self._path), "reason": reason}


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file such that a crash leaves the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
