"""Memory and metrics of every program, sampled from outside over all its lives."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.chaos.keeper import resident_bytes
from tests.chaos.taps.tap import Tap

_ANSWER_SECONDS: Final = 1.0
#: By what a process tells its own start; the second one is that of several processes behind one port.
_START_NAMES: Final = ("process_start_time_seconds", "web_process_start_time_seconds")


class MemorySampler(Tap):
    """Resident memory of each program and what is below it, once a second."""

    pause_seconds = 1.0

    def __init__(self, pids: Callable[[], Mapping[str, int]]) -> None:
        super().__init__()
        self._pids = pids
        self._last: dict[str, int] = {}
        self.samples: dict[str, list[tuple[float, int]]] = {}

    def look(self) -> None:
        """Take one sample; 0 between two lives."""
        now, pids = time.time(), dict(self._pids())
        for program, pid in self._last.items():
            if pids.get(program) != pid:
                self.samples[program].append((now, 0))
        for program, pid in pids.items():
            size = resident_bytes([pid])
            if size:
                self.samples.setdefault(program, []).append((now, size))
        self._last = {program: pid for program, pid in pids.items() if program in self.samples}


class MetricsScraper(Tap):
    """Every metric, summed over the lives of each program: ``program:name{label="value"}`` to its value.

    ``program:process_starts`` is how many starts the program's own metrics told.
    """

    pause_seconds = 0.5

    def __init__(self, health_ports: Callable[[], Mapping[str, int]]) -> None:
        super().__init__()
        self._health_ports = health_ports
        self._programs: dict[str, _Lives] = {}

    def look(self) -> None:
        """Ask every program; the loop is for asking all at once, as some may be frozen."""
        asyncio.run(self._scrape_until_stopped())

    def totals(self) -> dict[str, float]:
        """What was counted so far."""
        return {f"{program}:{name}": value for program, lives in self._programs.items() for name, value in lives.all()}

    async def _scrape_until_stopped(self) -> None:
        async with httpx.AsyncClient(timeout=_ANSWER_SECONDS, trust_env=False) as client:
            while not self.stopping:
                await self._scrape_all(client)
                await asyncio.sleep(self.pause_seconds)
            await self._scrape_all(client)

    async def _scrape_all(self, client: httpx.AsyncClient) -> None:
        ports = dict(self._health_ports())
        await asyncio.gather(*(self._scrape(client, program, port) for program, port in ports.items()))

    async def _scrape(self, client: httpx.AsyncClient, program: str, port: int) -> None:
        try:
            answer = await client.get(f"http://127.0.0.1:{port}/metrics")
        except httpx.HTTPError:
            return  # it is dead, frozen or starting
        if answer.is_success:
            self._programs.setdefault(program, _Lives()).take(answer.text)


class _Lives:
    """What one program's processes counted, one after the other."""

    def __init__(self) -> None:
        self._ended: dict[str, float] = {}
        self._last: dict[str, float] = {}
        self._counters: set[str] = set()
        self._starts: set[float] = set()

    def take(self, text: str) -> None:
        """Take one exposition."""
        counters, now = _parse(text)
        started = next((now[name] for name in _START_NAMES if name in now), None)
        restarted = any(now.get(name, 0.0) < self._last[name] for name in counters & self._last.keys())
        if started is not None and started not in self._starts:
            self._starts.add(started)
            # Several processes behind one port keep their counts when one of them is replaced.
            restarted |= _START_NAMES[0] in now and len(self._starts) > 1
        if restarted:
            for name, value in self._last.items():
                self._ended[name] = self._ended.get(name, 0.0) + value
        gauges = {name: value for name, value in self._last.items() if name not in now and not restarted}
        self._last = {**gauges, **now}
        self._counters = counters | self._counters

    def all(self) -> list[tuple[str, float]]:
        """Counters summed over lives, gauges as last seen."""
        names = self._last.keys() | (self._ended.keys() & self._counters)
        found = [
            (name, self._last.get(name, 0.0) + (self._ended.get(name, 0.0) if name in self._counters else 0.0))
            for name in names
        ]
        return [*found, ("process_starts", float(len(self._starts)))]


def _parse(text: str) -> tuple[set[str], dict[str, float]]:
    """The names that only rise, and every value."""
    counters: set[str] = set()
    values: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            name = f"{sample.name}{{{labels}}}" if labels else sample.name
            values[name] = sample.value
            if family.type in ("counter", "histogram") and not sample.name.endswith("_created"):
                counters.add(name)
    return counters, values
