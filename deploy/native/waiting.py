"""Waits until a started stack works, and says what is at fault when it does not."""

import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from deploy.native import program_logs
from deploy.native.errors import StackError
from deploy.native.ports import answers
from deploy.native.programs import Program
from deploy.native.settings_check import BAD_SETTINGS
from deploy.native.stack import Stack
from deploy.native.supervision import Status, Supervisor
from deploy.native.venv import PYTHON

LIMIT_SECONDS = 120.0
#: For single programs beside a stack that is up.
ANSWER_SECONDS = 30.0
#: A reason outside of the stack why it cannot work, given for so long without a break, ends the wait.
PATIENCE_SECONDS = 20.0
_POLL_SECONDS = 0.3
#: A program that died this often while we wait will not come up by itself.
_MAX_DEATHS = 6

_STAYS_UP = "  what was started stays up: `make ps` shows it, `make down` stops it"


class Patience:
    """Bears with a reason to give up until it has been given for `PATIENCE_SECONDS` without a break."""

    def __init__(self, seconds: float = PATIENCE_SECONDS, now: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._now = seconds, now
        self._since: float | None = None

    def ended_by(self, reason: str | None) -> bool:
        """Whether waiting on is no use; called again and again, with None while there is no reason."""
        if reason is None:
            self._since = None
            return False
        if self._since is None:
            self._since = self._now()
        return self._now() - self._since >= self._seconds


def until_works(
    stack: Stack,
    supervisor: Supervisor,
    programs: Sequence[Program],
    probe: Sequence[str],
    obstacle: Callable[[], str | None] = lambda: None,
) -> str:
    """Run ``probe.py`` with these arguments until it is content, and return what it printed; watch the programs.

    Args:
        stack: What has been started.
        supervisor: Its supervisor.
        programs: All of its programs, from the services to the reader.
        probe: Arguments for ``probe.py``.
        obstacle: Says why the probe cannot be content although all programs work; None while nothing is known.

    Raises:
        StackError: If a program cannot start, the obstacle lasts, or the probe misses something after `LIMIT_SECONDS`.
    """
    script = Path(__file__).with_name("probe.py")
    command = [str(PYTHON), str(script), *probe, "--seconds", str(LIMIT_SECONDS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd="/") as process:
        try:
            _watch(process, stack, supervisor, programs, obstacle)
        finally:
            process.kill()
        output = process.stdout.read().strip() if process.stdout else ""
    if process.returncode:
        raise StackError(_diagnosis(stack, _silent(supervisor, programs), obstacle(), output))
    # What an earlier run stored may have been served before every program was there.
    until_answer(stack, supervisor, programs)
    return output


def _watch(
    process: "subprocess.Popen[str]",
    stack: Stack,
    supervisor: Supervisor,
    programs: Sequence[Program],
    obstacle: Callable[[], str | None],
) -> None:
    seen: dict[str, int] = {}
    deaths: Counter[str] = Counter()
    patience = Patience()
    while process.poll() is None:
        for status in supervisor.statuses():
            if status.pid and seen.setdefault(status.name, status.pid) != status.pid:
                seen[status.name] = status.pid
                deaths[status.name] += 1
            if hopeless(status, deaths[status.name]):
                raise StackError(f"{status.name} does not start\n{program_logs.tail(stack, status.name)}\n{_STAYS_UP}")
        reason = obstacle()
        # A program of ours that does not answer may be the cause of it.
        if patience.ended_by(reason) and not (silent := _silent(supervisor, programs)):
            raise StackError(_diagnosis(stack, silent, reason, ""))
        time.sleep(_POLL_SECONDS)


def until_answer(stack: Stack, supervisor: Supervisor, programs: Sequence[Program]) -> None:
    """Wait until each of the programs runs and accepts connections.

    Raises:
        StackError: If one does not within `ANSWER_SECONDS`.
    """
    deadline = time.monotonic() + ANSWER_SECONDS
    while silent := _silent(supervisor, programs):
        if time.monotonic() > deadline:
            name = silent[0].name
            raise StackError(f"{name} does not answer\n{program_logs.tail(stack, name)}")
        time.sleep(0.1)


def hopeless(status: Status, deaths: int) -> bool:
    """Whether a program will not come up however long we wait."""
    if status.state == "FATAL" or deaths >= _MAX_DEATHS:
        return True
    # Twice, as a port that a killed predecessor still held for a moment is told the same way.
    return status.state in {"BACKOFF", "EXITED"} and status.exit_status == BAD_SETTINGS and deaths >= 1


def _silent(supervisor: Supervisor, programs: Sequence[Program]) -> list[Program]:
    states = {status.name: status.state for status in supervisor.statuses()}
    return [p for p in programs if states.get(p.name) != "RUNNING" or not all(answers(port) for port in p.ports)]


def _diagnosis(stack: Stack, silent: Sequence[Program], reason: str | None, missing: str) -> str:
    if silent:
        # In order from the services to the reader: the first silent one is most likely the cause of the rest.
        names = ", ".join(program.name for program in silent)
        told = program_logs.tail(stack, silent[0].name)
        return f"not up after {LIMIT_SECONDS:.0f} s ({missing}); no answer from {names}\n{told}\n{_STAYS_UP}"
    if reason:
        return (
            f"no candle yet: ingest says: {reason}\n"
            "  everything else is up, and ingest keeps trying: `make logs P=ingest` shows it, `make down` stops all"
        )
    told = program_logs.tail(stack, "ingest")
    return f"not up after {LIMIT_SECONDS:.0f} s ({missing}), although every program answers\n{told}\n{_STAYS_UP}"
