"""Runs ``python -m workers …``, and others, as a person or a program does."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
#: Beyond anything a command of these tests needs.
PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Ended:
    """What a command left."""

    status: int
    lines: list[dict[str, Any]]
    errors: str


def run(environment: Mapping[str, str], *words: str) -> Ended:
    """Run a command whose output a program reads."""
    ended = subprocess.run(
        [sys.executable, "-m", "workers", *words],
        cwd=ROOT,
        env=dict(environment),
        capture_output=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    lines = [json.loads(line) for line in ended.stdout.decode().splitlines()]
    return Ended(ended.returncode, lines, ended.stderr.decode())


def run_on_terminal(environment: Mapping[str, str], *words: str, program: str = "workers") -> tuple[int, str]:
    """Run a command on a terminal of its own, 200 columns wide; returns exit status and all that it wrote there."""
    mine, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", program, *words],
        cwd=ROOT,
        env={**environment, "COLUMNS": "200", "TERM": "xterm-256color"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    written = bytearray()
    try:
        while chunk := _read(mine):
            written += chunk
        return process.wait(PATIENCE_SECONDS), written.decode()
    finally:
        process.kill()
        process.wait()
        os.close(mine)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # how Linux says that nobody has the other end any more
        return b""
