"""The stack as a user runs it: `make up`, `make down`, HTTP, WebSocket, and nothing of its code."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import httpx

ROOT = Path(__file__).resolve().parents[2]

T = TypeVar("T")

#: Twenty pairs that the simulated exchange lists.
PAIRS = tuple(
    f"{base}-{quote}" for base in ("BTC", "ETH", "SOL", "ADA", "XRP") for quote in ("USD", "EUR", "GBP", "USDT")
)


class TookTooLong(AssertionError):
    """Raised when something awaited did not come in time."""


def wait_until(what: str, check: Callable[[], T], *, seconds: float, every: float = 0.1) -> T:
    """Call ``check`` until it returns something true and return that.

    Raises:
        TookTooLong: If that does not happen within ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while True:
        result = check()
        if result:
            return result
        if time.monotonic() > deadline:
            raise TookTooLong(f"{what}: not within {seconds:g} s, last seen {str(result)[:300]}")
        time.sleep(every)


def parse_exact(text: str | bytes) -> Any:
    """JSON with every number that has a fraction or an exponent as an exact Decimal."""
    return json.loads(text, parse_float=Decimal)


@dataclass
class Stack:
    """One running stack with ports and a run directory of its own."""

    environment: dict[str, str]

    @property
    def run_dir(self) -> Path:
        """Where its state, logs and data are."""
        return ROOT / self.environment["RUN_DIR"]

    def port(self, default: int) -> int:
        """The port that this stack uses in place of a default one."""
        return default + int(self.environment["PORT_OFFSET"])

    @property
    def rest_url(self) -> str:
        """Where REST is served."""
        return f"http://127.0.0.1:{self.port(8080)}"

    @property
    def ws_url(self) -> str:
        """Where the WebSocket server is."""
        return f"ws://127.0.0.1:{self.port(3004)}"

    @property
    def sim_log(self) -> Path:
        """What the simulated exchange sent."""
        return Path(self.environment["SIM_LOG"])

    def make(self, *words: str, seconds: float = 300) -> str:
        """Run ``make`` for this stack and return what it printed.

        Raises:
            AssertionError: If it fails; the message holds its output.
        """
        result = subprocess.run(
            ["make", "--no-print-directory", *words],
            cwd=ROOT,
            env=os.environ | self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert result.returncode == 0, (
            f"make {' '.join(words)}: exit {result.returncode}\n{result.stdout}{result.stderr}"
        )
        return result.stdout

    def pids(self) -> dict[str, int]:
        """Process id by program, as `make ps` shows them."""
        return {
            match[1]: int(match[2])
            for match in re.finditer(r"^(\S+)\s+RUNNING\s+pid (\d+)", self.make("ps"), re.MULTILINE)
        }

    def kill(self, program: str) -> float:
        """``kill -9`` one program and return how many seconds passed until it ran again under another pid."""
        before = self.pids()[program]
        killed_at = time.monotonic()
        os.kill(before, signal.SIGKILL)
        wait_until(f"{program} is restarted", lambda: self.pids().get(program, before) != before, seconds=20)
        return time.monotonic() - killed_at

    def get(self, path: str, **params: str | int) -> Any:
        """GET an API path and parse its JSON exactly.

        Raises:
            AssertionError: If the status is not 200.
        """
        answer = httpx.get(self.rest_url + path, params=params, timeout=10)
        assert answer.status_code == 200, f"{answer.url}: {answer.status_code} {answer.text[:300]}"
        return parse_exact(answer.content)

    def processes(self) -> list[str]:
        """Command lines of all processes that belong to this stack, read from the process table."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                environment = (entry / "environ").read_bytes()
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
            except OSError:
                continue  # it ended meanwhile, or is not ours to read
            if str(self.run_dir).encode() in environment + command:
                found.append(f"{entry.name} {command.decode()}")
        return found


@contextmanager
def running_stack(name: str, port_offset: int, **settings: str) -> Iterator[Stack]:
    """Start a stack from nothing, and take it down with its data afterwards."""
    log = ROOT / ".run" / f"{name}-sim.log"
    log.parent.mkdir(exist_ok=True)
    log.unlink(missing_ok=True)
    stack = Stack(
        {"STACK": "native", "RUN_DIR": f".run/{name}", "PORT_OFFSET": str(port_offset), "SIM_LOG": str(log)} | settings
    )
    stack.make("wipe", "YES=1")
    try:
        stack.make("up")
        yield stack
    finally:
        stack.make("down")
        left = stack.processes()
        assert not left, f"make down left processes: {left}"
        stack.make("wipe", "YES=1")
