"""Which port each program listens on, and who sits on a port that should be free."""

import os
import re
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from deploy.native.errors import StackError

#: Program: its port when neither a variable nor ``PORT_OFFSET`` says otherwise.
DEFAULTS = {
    "kafka": 9092,
    "kafka-controller": 9093,
    "redis": 6379,
    "ferretdb": 27017,
    "postgres": 25432,
    "rest": 8080,
    "ws": 3004,
    "simulate": 3010,
    "ingest": 9101,
    "bridge-persist": 9102,
    "bridge-fanout": 9103,
    "bridge-rollup": 9104,
    "bridge-rollup-live": 9105,
    "workers-persist": 9111,
    "workers-fanout": 9112,
    "workers-rollup": 9113,
}
#: Programs whose port a user may set outright.
VARIABLES = {"rest": "REST_PORT", "ws": "WS_PORT", "simulate": "SIM_PORT"}
#: Health ports of further worker processes follow in steps of this.
INSTANCE_STEP = 10

_HIGHEST = 65_535
_LISTENING = "0A"


class Ports:
    """The ports of one stack."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.offset = _number("PORT_OFFSET", variables.get("PORT_OFFSET", "0"), 0, _HIGHEST - max(DEFAULTS.values()))
        self._explicit = {
            name: _number(variable, variables[variable], 1, _HIGHEST)
            for name, variable in VARIABLES.items()
            if variable in variables
        }

    def of(self, name: str, instance: int = 1) -> int:
        """The port of a program; of a pool of workers, the health port of its numbered instance."""
        if name in self._explicit:
            return self._explicit[name]
        return DEFAULTS[name] + self.offset + (instance - 1) * INSTANCE_STEP


def _number(variable: str, text: str, lowest: int, highest: int) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or not lowest <= int(text) <= highest:
        raise StackError(f"{variable}={text!r}: expected a whole number from {lowest} to {highest}")
    return int(text)


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket() as listener:
        # As servers do: connections of the last run that linger in TIME_WAIT are no obstacle.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError:
            return False
    return True


def answers(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something accepts connections on the port."""
    try:
        socket.create_connection((host, port), timeout=1.0).close()
    except OSError:
        return False
    return True


def listeners(port: int) -> set[str]:
    """Ids of the processes that listen on the port, as far as this user may see them."""
    inodes = _listening_inodes(port)
    return {process.name for process in Path("/proc").glob("[0-9]*") if not inodes.isdisjoint(_open_files(process))}


def describe_listener(port: int) -> str:
    """Who listens on the port: ``redis-server (process 812, in /srv/x)``, or ``another program`` if that is hidden."""
    for pid in sorted(listeners(port)):
        try:
            return (
                f"{Path(f'/proc/{pid}/comm').read_text().strip()} (process {pid}, in {os.readlink(f'/proc/{pid}/cwd')})"
            )
        except OSError:
            continue  # gone meanwhile
    return "another program"


def _open_files(process: Path) -> set[str]:
    targets = set()
    with suppress(OSError):  # the process is gone meanwhile, or another user's
        for descriptor in (process / "fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                targets.add(os.readlink(descriptor))
    return targets


def _listening_inodes(port: int) -> set[str]:
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    return inodes
