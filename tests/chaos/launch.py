"""Starts our programs in ways that no user can: with a clock that is off, or as an exchange that misbehaves.

    python -m tests.chaos.launch --shift SECONDS --after SECONDS ingest run
    python -m tests.chaos.launch --shift SECONDS --after SECONDS workers bridge persist
    python -m tests.chaos.launch simulate

The last one sends garbage on SIGUSR1 and leaves out a frame on SIGUSR2.
"""

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Sequence
from decimal import Decimal

import ingest.__main__
import workers.__main__
from ingest.log import configure_logging
from ingest.settings import Settings
from ingest.simulator.faults import Faults
from ingest.simulator.server import Simulator
from tests.chaos.simulated import POISON


class ShiftedClock:
    """The machine's clock until some moment, after that one which is off by ``shift_seconds``."""

    def __init__(self, shift_seconds: float, after_seconds: float) -> None:
        self._shift_us = int(shift_seconds * 1_000_000)
        self._jumps_at = time.monotonic() + after_seconds

    def now_us(self) -> int:
        """Unix time in microseconds."""
        return time.time_ns() // 1000 + (self._shift_us if time.monotonic() >= self._jumps_at else 0)

    def monotonic(self) -> float:
        """Seconds since some fixed moment; these are never off."""
        return time.monotonic()


def main(words: Sequence[str]) -> int:
    """Start what the words say, and return its exit status."""
    if words[:1] == ["simulate"]:
        asyncio.run(misbehave(Settings.from_env()))
        return 0
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.launch")
    parser.add_argument("--shift", type=float, required=True, help="seconds; below 0: behind")
    parser.add_argument("--after", type=float, required=True, help="seconds after the start")
    parser.add_argument("package", choices=["ingest", "workers"])
    parser.add_argument("words", nargs=argparse.REMAINDER)
    options = parser.parse_args(words)
    clock = ShiftedClock(options.shift, options.after)
    started = {"ingest": ingest.__main__.main, "workers": workers.__main__.main}[options.package]
    return started(options.words, clock=clock)


async def misbehave(settings: Settings) -> None:
    """Serve the simulated exchange until SIGTERM, misbehaving on demand."""
    configure_logging(settings.log_level, settings.log_format)
    faults, stopping = Faults(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, send_garbage, faults)
    loop.add_signal_handler(signal.SIGUSR2, leave_out, faults)
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    async with Simulator(settings, faults=faults):
        await stopping.wait()


def send_garbage(faults: Faults) -> None:
    """Among the next frames: halves, doubles, kinds that do not exist, candles that cannot be."""
    faults.malformed += 2
    faults.duplicate += 2
    now = int(time.time() * 1000) // 60_000 * 60_000
    good: list[object] = [now, *map(Decimal, ("2", "4", "1", "3", "5"))]
    impossible: list[dict[str, object]] = [
        {"event": "sang", "channel": "prices", "symbol": "BTC-USD"},
        {"event": "updated", "channel": "weather", "symbol": "BTC-USD", "price": good},
        {"event": "updated", "channel": "prices", "symbol": "DOGE-USD", "price": good},
        {"event": "updated", "channel": "prices", "symbol": "BTC-USD", "price": [now, 2, 1, 4, 3, 5]},
        {"event": "updated", "channel": "prices", "symbol": "BTC-USD", "price": [now, -2, 4, 1, 3, 5]},
        {"event": "updated", "channel": "prices", "symbol": "BTC-USD", "price": [now * 2, *good[1:]]},
        {"event": "updated", "channel": "prices", "symbol": "BTC-USD", "price": [now, "two", None]},
        {"event": "updated", "channel": "prices"},
    ]
    # So that whoever reads the log of frames knows that nobody has to believe these.
    faults.injected.extend({**frame, POISON: True} for frame in impossible)


def leave_out(faults: Faults) -> None:
    """The next frame gets its number and is not sent."""
    faults.skip += 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
