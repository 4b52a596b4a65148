"""Processes of ours that a supervisor no longer holds: found by the mark in their environment, and ended.

A supervisor that was killed cannot stop its programs, and theirs may have children of their own. The mark, unlike a
recorded process id, can neither be missed nor belong to somebody else meanwhile.
"""

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from deploy.native.errors import StackError
from deploy.native.programs import Turn, stop_signal_of, turn_of
from deploy.native.stack import MARKER, PROGRAM_MARKER, Stack

#: What a process gets to stop by itself, and what the kernel gets to remove a killed one.
_PATIENCE_SECONDS = 15.0
_KILL_SECONDS = 5.0


@dataclass(frozen=True)
class Leftover:
    """One process that carries the mark of a stack."""

    pid: int
    program: str


def find(stack: Stack) -> list[Leftover]:
    """Every process of the stack, under a supervisor or not."""
    pids = (int(folder.name) for folder in Path("/proc").glob("[0-9]*"))
    return [found for pid in pids if pid != os.getpid() and (found := _look(stack, pid))]


def end(stack: Stack) -> list[str]:
    """End every process of the stack, what uses a service before the service; return their programs' names.

    Raises:
        StackError: If one survives even SIGKILL.
    """
    names = sorted({each.program for each in find(stack)})
    for turn in sorted(Turn):
        _end_turn(stack, turn)
    if left := find(stack):
        raise StackError("these processes do not end: " + ", ".join(f"{each.program} ({each.pid})" for each in left))
    return names


def _look(stack: Stack, pid: int) -> Leftover | None:
    try:
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # gone, or another user's
        return None
    if f"{MARKER}={stack.run_dir}".encode() not in variables:
        return None
    prefix = f"{PROGRAM_MARKER}=".encode()
    names = (each.removeprefix(prefix).decode() for each in variables if each.startswith(prefix))
    return Leftover(pid, next(names, "unknown"))


def _end_turn(stack: Stack, turn: Turn) -> None:
    asked: set[int] = set()
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while group := [each for each in find(stack) if turn_of(each.program) == turn]:
        now = time.monotonic()
        if now > deadline + _KILL_SECONDS:
            return
        for each in group:
            if now > deadline or turn is Turn.SUPERVISOR:
                _send(stack, each.pid, signal.SIGKILL)
            elif each.pid not in asked:
                asked.add(each.pid)
                _send(stack, each.pid, signal.Signals[f"SIG{stop_signal_of(each.program)}"])
        time.sleep(0.1)


def _send(stack: Stack, pid: int, number: signal.Signals) -> None:
    """Signal the process, and never another that has its id by now: the handle is taken first, the mark read after."""
    with suppress(OSError):
        handle = os.pidfd_open(pid)
        try:
            if _look(stack, pid):
                signal.pidfd_send_signal(handle, number)
        finally:
            os.close(handle)
