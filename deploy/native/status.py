"""What `make ps` and `make logs` show."""

import os
import urllib.error
import urllib.request

from deploy.native import lifecycle, programs
from deploy.native.errors import StackError
from deploy.native.ports import answers
from deploy.native.stack import Stack
from deploy.native.supervision import Status

_PROBE_SECONDS = 2.0
_ROW = "{:<20} {:<9} {:<11} {:>9}  {}"
_LAST_LINES = "50"


def table(stack: Stack) -> str:
    """One line per program: state, process id, how long it has run, and whether it answers."""
    supervisor = lifecycle.running_supervisor(stack)
    started_with = stack.as_started()
    known = {each.name: each for each in [*programs.services(started_with), *programs.pipeline(started_with)]}
    rows = [_ROW.format("PROGRAM", "STATE", "PROCESS", "UP", "").rstrip()]
    for status in sorted(
        supervisor.statuses(), key=lambda each: list(known).index(each.name) if each.name in known else 99
    ):
        note = _note(status, known[status.name].ports) if status.name in known else ""
        pid = f"pid {status.pid}" if status.pid else "-"
        rows.append(_ROW.format(status.name, status.state, pid, _duration(status.seconds_up), note))
    return "\n".join(rows)


def _note(status: Status, ports: tuple[int, ...]) -> str:
    if status.state != "RUNNING":
        return f"last exit status {status.exit_status}"
    port = ports[0]
    if programs.turn_of(status.name) is programs.Turn.OURS:
        return f"port {port}, {_livez(port)}"
    return f"port {port}, {'answers' if answers(port) else 'does not answer'}"


def _livez(port: int) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=_PROBE_SECONDS):
            return "alive"
    except urllib.error.HTTPError as error:
        return f"/livez answers {error.code}"
    except OSError:
        return "does not answer"


def _duration(seconds: int) -> str:
    hours, rest = divmod(seconds, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"


def logs(stack: Stack, name: str, *, follow: bool) -> None:
    """Become a `tail` of the logs: of one program, of a pool of workers, or of all.

    Raises:
        StackError: If there is no such log.
    """
    there = sorted(path for path in stack.logs.glob("*.log") if path.name != "setup.log")
    chosen = [path for path in there if not name or path.stem == name or path.stem.rpartition("-")[0] == name]
    if not chosen:
        known = ", ".join(path.stem for path in there) or "none: `make up` starts the system"
        raise StackError(f"no log of {name or 'any program'}; there are {known}")
    os.execvp("tail", ["tail", "-n", _LAST_LINES, *(["-F"] if follow else []), *map(str, chosen)])
