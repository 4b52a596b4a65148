"""Runs other programs during set-up: output to a log, one sentence when they fail, all of them ended on demand."""

import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy.native.errors import StackError

_running: set["subprocess.Popen[str]"] = set()
_lock = threading.Lock()
_ended = False


def run(
    command: Sequence[str | Path],
    *,
    failure: str,
    log: Path,
    variables: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> str:
    """Run ``command`` to its end, append what it says to ``log``, and return it.

    Args:
        command: Program and arguments.
        failure: What it means when the command fails; becomes the beginning of the error.
        log: File that gets the output.
        variables: Added to the environment.
        cwd: Working directory.

    Raises:
        StackError: ``failure``, the command's last line, and where the rest is.
    """
    words = [str(word) for word in command]
    with _lock:
        if _ended:
            raise StackError(f"{failure}: interrupted")
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, **(variables or {})},
            cwd=cwd,
            # A group of its own: ending a shell script alone would leave its compiler running.
            start_new_session=True,
        )
        _running.add(process)
    try:
        output, _ = process.communicate()
    finally:
        with _lock:
            _running.discard(process)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file:
        file.write(f"$ {' '.join(words)}\n{output}")
    if process.returncode != 0:
        raise StackError(f"{failure}: {_last_line(output)} (all of it is in {log})")
    return output


def end_all() -> None:
    """End every command that is running, with its children; no further one starts."""
    global _ended
    with _lock:
        _ended = True
        for process in _running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)


def _last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower() or line.startswith("E:")]
    return (errors or lines or ["it said nothing"])[-1]
