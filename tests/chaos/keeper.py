"""Runs programs as a supervisor does, and can be told to look away.

Each program is a session of its own. What ends is started again a moment later, unless the harness holds it down.
"""

import logging
import os
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGCONT, SIGINT, SIGKILL, SIGQUIT, SIGSTOP, SIGTERM

import psutil

from deploy.native.programs import Program, Turn, on_parent_death, stop_signal_of, turn_of
from deploy.native.stack import ROOT

logger = logging.getLogger(__name__)

#: Between an end and the next start, as a supervisor takes.
RESTART_SECONDS = 0.3
_LOOK_SECONDS = 0.05
_GONE_SECONDS = 20.0


@dataclass(frozen=True)
class Life:
    """One process from its start to its end; times are Unix seconds."""

    program: str
    pid: int
    started_at: float
    ended_at: float
    status: int
    #: Whether the harness ended it.
    expected: bool


@dataclass
class _Kept:
    program: Program
    wanted: bool = True
    process: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0.0
    start_at: float = 0.0


@dataclass
class Keeper:
    """The programs of one cluster; a thread of its own starts all of them.

    One thread, because a program is told by the kernel when the thread that started it is gone.
    """

    environment: Mapping[str, str]
    logs: Path
    #: Program to how often it was started again after it had ended by itself or by a fault.
    restarts: "Counter[str]" = field(default_factory=Counter)
    lives: list[Life] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._kept: dict[str, _Kept] = {}
        #: Processes that the harness ends; none of their ids comes again within a run.
        self._doomed: set[int] = set()
        self._lock = threading.Lock()  # `_kept` and what is in it; not held while waiting
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)
        self._thread.start()

    # -- what runs ----------------------------------------------------------------------------------------------------

    def add(self, program: Program) -> None:
        """Run a program from now on."""
        with self._lock:
            self._kept[program.name] = _Kept(program)

    def replace(self, program: Program) -> None:
        """From its next start on, run another program of the same name."""
        with self._lock:
            self._kept[program.name].program = program

    def remove(self, name: str) -> None:
        """End a program for good."""
        self.hold_down(name)
        with self._lock:
            del self._kept[name]

    def program(self, name: str) -> Program:
        """The program of that name as it is started now."""
        return self._kept[name].program

    def names(self) -> list[str]:
        """Every program, running or not."""
        return list(self._kept)

    def pid(self, name: str) -> int | None:
        """The process id of a running program, None while it does not run."""
        with self._lock:
            process = self._kept[name].process
        return process.pid if process is not None and process.returncode is None else None

    def pids(self) -> dict[str, int]:
        """Process id by program, of those that run."""
        return {name: pid for name in self.names() if (pid := self.pid(name)) is not None}

    # -- what is done to it -------------------------------------------------------------------------------------------

    def signal(self, name: str, number: int) -> None:
        """Send a signal: KILL, STOP and CONT reach every process of a program, others those that `make` would ask."""
        pid = self.pid(name)
        if pid is None:
            return
        if number in (SIGKILL, SIGTERM, SIGINT, SIGQUIT):
            self._doomed.add(pid)
        if number in (SIGKILL, SIGSTOP, SIGCONT):
            signal_tree(pid, number)
        elif self.program(name).stop_as_group:
            with suppress(ProcessLookupError):
                os.killpg(pid, number)
        else:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def hold_down(self, name: str, number: int = SIGKILL) -> None:
        """End a program and do not start it again until `release`; returns when it is gone.

        Raises:
            TimeoutError: If it does not end.
        """
        with self._lock:
            self._kept[name].wanted = False
        self.signal(name, number)
        self.wait_gone(name)

    def wait_gone(self, name: str, pid: int | None = None, seconds: float = _GONE_SECONDS) -> float:
        """Return how long it took until the program, or this process of it, has ended.

        Raises:
            TimeoutError: If it does not end in time.
        """
        began = time.monotonic()
        while (now := self.pid(name)) is not None and (pid is None or now == pid):
            if time.monotonic() - began > seconds:
                raise TimeoutError(f"{name} did not end within {seconds:g} s")
            time.sleep(0.01)
        return time.monotonic() - began

    def release(self, name: str) -> None:
        """Run a program again that was held down."""
        with self._lock:
            kept = self._kept[name]
            kept.wanted, kept.start_at = True, 0.0

    def stop(self) -> None:
        """End everything, what uses a service before the service, and the thread."""
        for turn in sorted(Turn):
            chosen = [name for name in self.names() if turn_of(name) is turn]
            for name in chosen:
                with self._lock:
                    self._kept[name].wanted = False
                self.signal(name, SIGCONT)
                # PostgreSQL's "immediate shutdown": killed, it would leave shared memory behind.
                self.signal(name, SIGQUIT if name == "postgres" else SIGKILL)
            for name in chosen:
                self.wait_gone(name)
        self._stopping.set()
        self._thread.join(_GONE_SECONDS)

    # -- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.wait(_LOOK_SECONDS):
            with self._lock:
                for kept in self._kept.values():
                    self._look(kept)

    def _look(self, kept: _Kept) -> None:
        now = time.time()
        if kept.process is not None and kept.process.poll() is not None:
            name, status = kept.program.name, kept.process.returncode
            pid = kept.process.pid
            self.lives.append(Life(name, pid, kept.started_at, now, status, pid in self._doomed))
            logger.info("%s ended with status %s", name, status)
            kept.process, kept.start_at = None, now + RESTART_SECONDS
            if kept.wanted:
                self.restarts[name] += 1
        if kept.process is None and kept.wanted and now >= kept.start_at:
            kept.process, kept.started_at = self._start(kept.program), now

    def _start(self, program: Program) -> "subprocess.Popen[bytes]":
        with (self.logs / f"{program.name}.log").open("ab") as log:
            return subprocess.Popen(
                [*on_parent_death(stop_signal_of(program.name)), *program.command],
                cwd=ROOT,
                env={**self.environment, **program.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


def signal_tree(pid: int, number: int) -> None:
    """Signal a process and all below it; some (PostgreSQL's) are in process groups of their own."""
    try:
        leader = psutil.Process(pid)
        if number == SIGKILL:
            leader.suspend()  # it makes no more children
        family = [leader, *leader.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for each in reversed(family) if number == SIGCONT else family:
        with suppress(psutil.NoSuchProcess):
            each.send_signal(number)


def wait_for(what: str, check: "Callable[[], object]", seconds: float, every: float = 0.1) -> float:
    """Return after how long ``check`` held.

    Raises:
        TimeoutError: If it did not within ``seconds``.
    """
    began = time.monotonic()
    while not check():
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(every)
    return time.monotonic() - began


def resident_bytes(pids: Iterable[int]) -> int:
    """Memory of these processes and all below them."""
    total = 0
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            leader = psutil.Process(pid)
            total += sum(each.memory_info().rss for each in [leader, *leader.children(recursive=True)])
    return total
