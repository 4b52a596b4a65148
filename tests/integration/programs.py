"""Starts bridges and workers as supervisors do, and sees that nothing of them stays."""

import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import psutil

from tests.integration.bridge_bench import wait_until

ROOT = Path(__file__).parents[2]
#: Processes use the real names of queues and keys: a database of Redis of their own keeps them apart.
REDIS_DATABASE = 9


class Programs:
    """The programs of one test."""

    def __init__(self, environment: Mapping[str, str], logs: Path) -> None:
        """``environment`` is that of every program; ``logs`` a folder for what they write."""
        self._environment, self._logs = environment, logs
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, *command: str, **more: str) -> subprocess.Popen[bytes]:
        """Start a program, with ``more`` in its environment, and return once its ``/livez`` answers."""
        environment = {**self._environment, **more}
        log = self._logs / f"{len(self._started)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
        self._started.append(process)
        wait_until(lambda: lives(environment) or process.poll() is not None, f"/livez of {command}")
        assert process.poll() is None, log.read_text()
        return process

    def close(self) -> None:
        """Kill all that still runs."""
        for process in self._started:
            children = psutil.Process(process.pid).children() if process.poll() is None else []
            process.kill()
            process.wait()
            for child in children:
                child.kill()


def workers_command(queue: str) -> tuple[str, ...]:
    """A worker program with two threads; Dramatiq alone would wait ten minutes for one that does not end."""
    options = f"-Q {queue} -p 1 -t 2 --skip-logging --worker-shutdown-timeout 10000"
    return (sys.executable, "-m", "dramatiq", "workers", *options.split())


def lives(environment: Mapping[str, str]) -> bool:
    """Whether ``/livez`` of a program with this environment answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{environment['HEALTH_PORT']}/livez", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
