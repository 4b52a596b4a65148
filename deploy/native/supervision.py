"""Talks to the supervisor of one stack: start it, bring it up to date, read states, stop in order.

XML-RPC over its Unix socket, as `supervisorctl` does, but with answers that need no parsing.
"""

import http.client
import os
import socket
import subprocess
import time
import xmlrpc.client
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from deploy.native import supervisor_config
from deploy.native.errors import StackError
from deploy.native.programs import SUPERVISOR, Turn, turn_of
from deploy.native.stack import MARKER, PROGRAM_MARKER, ROOT, Stack
from deploy.native.variables import documented_names, is_ours
from deploy.native.venv import VENV

_RPC_TIMEOUT_SECONDS = 10.0
_START_SECONDS = 15.0
#: Beyond what the supervisor itself waits before it kills.
_STOP_SECONDS = supervisor_config.STOP_WAIT_SECONDS + 10.0

#: supervisor.states: what is neither running nor about to be.
_STOPPED_STATES = frozenset({"STOPPED", "EXITED", "FATAL", "UNKNOWN"})


@dataclass(frozen=True)
class Status:
    """One program as its supervisor sees it."""

    name: str
    state: str
    pid: int
    seconds_up: int
    exit_status: int


class Supervisor:
    """The supervisor of one stack; it may be running or not."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    def is_running(self) -> bool:
        """Whether it answers."""
        try:
            self._call("getState")
        except OSError:
            return False
        return True

    def start(self) -> None:
        """Start it, as a daemon, with what `supervisor_config.write` wrote."""
        socket_dir = self._stack.supervisor_socket.parent
        socket_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if socket_dir.stat().st_uid != os.getuid():
            raise StackError(f"{socket_dir} belongs to another user: set RUN_DIR to a shorter path")
        self._stack.supervisor_socket.unlink(missing_ok=True)
        command = [str(VENV / "bin" / "supervisord"), "-c", str(supervisor_config.main_path(self._stack))]
        own = {**inherited_environment(self._stack), PROGRAM_MARKER: SUPERVISOR}
        done = subprocess.run(command, env=own, capture_output=True, text=True, cwd="/")
        deadline = time.monotonic() + _START_SECONDS
        while not self.is_running():
            if done.returncode or time.monotonic() > deadline:
                said = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["it does not answer"]
                raise StackError(f"the supervisor did not start: {said[0]}")
            time.sleep(0.05)

    def update(self, *, restart_changed: bool = True) -> list[str]:
        """Start, restart and stop the programs whose configuration was added, changed or removed.

        Returns the names of those that were started.
        """
        added, changed, removed = cast("list[list[list[str]]]", self._call("reloadConfig"))[0]
        if not restart_changed:
            changed = []
        for turn in sorted(Turn):
            self.stop([name for name in [*changed, *removed] if turn_of(name) == turn])
        for name in [*changed, *removed]:
            self._call("removeProcessGroup", name)
        for name in [*added, *changed]:
            self._call("addProcessGroup", name)
        return [*added, *changed]

    def statuses(self) -> list[Status]:
        """Every program's state."""
        return [
            Status(
                name=each["name"],
                state=each["statename"],
                pid=each["pid"],
                seconds_up=each["now"] - each["start"] if each["pid"] else 0,
                exit_status=each["exitstatus"],
            )
            for each in cast("list[dict[str, Any]]", self._call("getAllProcessInfo"))
        ]

    def stop(self, names: Collection[str]) -> None:
        """Stop these programs side by side, and wait until they have left."""
        for status in self.statuses():
            if status.name in names and status.state not in _STOPPED_STATES:
                self._tolerant("stopProcess", status.name, False)
        deadline = time.monotonic() + _STOP_SECONDS
        while left := [s.name for s in self.statuses() if s.name in names and s.state not in _STOPPED_STATES]:
            if time.monotonic() > deadline:
                raise StackError(f"{', '.join(left)} did not stop")
            time.sleep(0.1)

    def restart(self, name: str) -> None:
        """Stop and start one program."""
        self.stop([name])
        self.launch(name)

    def launch(self, name: str) -> None:
        """Start one program that was stopped."""
        self._call("startProcess", name, False)

    def shut_down(self) -> None:
        """Stop all programs, what uses a service before the service, then the supervisor; wait until it has left."""
        names = [status.name for status in self.statuses()]
        for turn in sorted(Turn):
            self.stop([name for name in names if turn_of(name) == turn])
        pid = cast("int", self._call("getPID"))
        self._call("shutdown")
        deadline = time.monotonic() + _STOP_SECONDS
        while Path(f"/proc/{pid}").exists() and self.is_running():
            if time.monotonic() > deadline:
                raise StackError(f"the supervisor (process {pid}) did not stop")
            time.sleep(0.05)

    def _tolerant(self, method: str, *arguments: Any) -> None:
        # A fault means that it stopped by itself between the question and the order.
        with suppress(xmlrpc.client.Fault):
            self._call(method, *arguments)

    def _call(self, method: str, *arguments: Any) -> Any:
        transport = _UnixTransport(str(self._stack.supervisor_socket))
        with xmlrpc.client.ServerProxy("http://localhost", transport=transport) as server:
            return getattr(server.supervisor, method)(*arguments)


def inherited_environment(stack: Stack) -> dict[str, str]:
    """What programs inherit from the shell that called `make`: all but our settings.

    Those reach them by their own configuration, which a later run can change.
    """
    documented = documented_names(ROOT)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not is_ours(name, documented) and not name.startswith("MAKE")
    }
    return {**kept, MARKER: str(stack.run_dir)}


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = _UnixConnection(self._path)
        self._connection = host, connection  # which `close` closes
        return connection


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_RPC_TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
