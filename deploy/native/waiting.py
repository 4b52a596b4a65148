"""Waits until a started stack works, and says which program is at fault when it does not."""

import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from deploy.native.errors import StackError
from deploy.native.ports import answers
from deploy.native.programs import Program
from deploy.native.stack import Stack
from deploy.native.supervision import Status, Supervisor
from deploy.native.venv import PYTHON

LIMIT_SECONDS = 120.0
#: For single programs beside a stack that is up.
ANSWER_SECONDS = 30.0
_POLL_SECONDS = 0.3
#: A program that died this often while we wait will not come up by itself.
_MAX_DEATHS = 6
#: What our processes exit with when a setting is bad: waiting cannot help.
_BAD_SETTINGS = 2
_TAIL_LINES = 12
_TAIL_BYTES = 16_384


def until_works(stack: Stack, supervisor: Supervisor, programs: Sequence[Program], probe: Sequence[str]) -> None:
    """Run ``probe.py`` with these arguments until it is content; meanwhile watch the programs.

    Raises:
        StackError: If a program cannot start, or the probe still misses something after `LIMIT_SECONDS`.
    """
    script = Path(__file__).with_name("probe.py")
    command = [str(PYTHON), str(script), *probe, "--seconds", str(LIMIT_SECONDS)]
    seen: dict[str, int] = {}
    deaths: Counter[str] = Counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd="/") as process:
        try:
            while process.poll() is None:
                for status in supervisor.statuses():
                    if status.pid and seen.setdefault(status.name, status.pid) != status.pid:
                        seen[status.name] = status.pid
                        deaths[status.name] += 1
                    if hopeless(status, deaths[status.name]):
                        raise StackError(f"{status.name} does not start\n{tail(stack, status.name)}")
                time.sleep(_POLL_SECONDS)
        finally:
            process.kill()
        output = process.stdout.read().strip() if process.stdout else ""
    if process.returncode:
        raise StackError(_diagnosis(stack, supervisor, programs, output))


def until_answer(stack: Stack, programs: Sequence[Program]) -> None:
    """Wait until each of the programs accepts connections.

    Raises:
        StackError: If one does not within `ANSWER_SECONDS`.
    """
    deadline = time.monotonic() + ANSWER_SECONDS
    for program in programs:
        while not all(answers(port) for port in program.ports):
            if time.monotonic() > deadline:
                raise StackError(f"{program.name} does not answer\n{tail(stack, program.name)}")
            time.sleep(0.1)


def hopeless(status: Status, deaths: int) -> bool:
    """Whether a program will not come up however long we wait."""
    if status.state == "FATAL" or deaths >= _MAX_DEATHS:
        return True
    # Twice, as a port that a killed predecessor still held for a moment is told the same way.
    return status.state in {"BACKOFF", "EXITED"} and status.exit_status == _BAD_SETTINGS and deaths >= 1


def tail(stack: Stack, name: str) -> str:
    """The end of a program's log, indented, and where the rest is."""
    path = stack.logs / f"{name}.log"
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()[-_TAIL_LINES:]
    except OSError:
        lines = []
    return "\n".join([*(f"    {line}" for line in lines), f"  the whole log: {path}"])


def _diagnosis(stack: Stack, supervisor: Supervisor, programs: Sequence[Program], missing: str) -> str:
    states = {status.name: status.state for status in supervisor.statuses()}
    silent = [p for p in programs if states.get(p.name) != "RUNNING" or not all(answers(port) for port in p.ports)]
    # In order from the services to the reader: the first silent one is most likely the cause of the rest.
    blamed = silent[0].name if silent else "ingest"
    names = ", ".join(program.name for program in silent) or "none: all answer"
    return (
        f"not up after {LIMIT_SECONDS:.0f} s ({missing}); programs that do not answer: {names}\n{tail(stack, blamed)}"
    )
