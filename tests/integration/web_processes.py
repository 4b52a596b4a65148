"""The two servers as processes of their own, on free ports, and what they say."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]
REST = [sys.executable, "-m", "gunicorn", "web.api:app"]
WS = [sys.executable, "-m", "web.ws"]


def wait_until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    """Return once the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)


@contextmanager
def running(command: list[str], port: int, log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """The command, once its ``/livez`` answers; ended afterwards, whatever happened.

    Raises:
        AssertionError: If it does not leave within 15 s of SIGTERM.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, stdout=output, stderr=output)
    try:
        wait_until(lambda: process.poll() is not None or answers(port))
        assert process.poll() is None, log.read_text()
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise AssertionError(f"did not leave within 15 s of SIGTERM:\n{log.read_text()}") from None


def answers(port: int) -> bool:
    """Whether ``/livez`` answers 200."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/livez", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
