"""One stack of one clone: where its files are, which variables and ports it has, and what it remembers.

Two stacks of a clone differ in ``RUN_DIR`` and ``PORT_OFFSET`` and share nothing but the virtual environment.
"""

import fcntl
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from deploy.native.errors import StackError
from deploy.native.ports import Ports
from deploy.native.variables import read_variables

ROOT = Path(__file__).resolve().parents[2]
#: The environment of every process we start names its stack, so that one left behind can be found and told apart.
MARKER = "CRYPTO_STREAMS_STACK"
PROGRAM_MARKER = "CRYPTO_STREAMS_PROGRAM"

#: Variables that name a service; the value a program gets when ours is used.
SERVICE_VARIABLES = {"kafka": "KAFKA_BROKERS", "redis": "REDIS_URL", "mongo": "MONGO_URI"}

#: Longest path that a Unix socket may have, less what supervisor adds to it while binding.
_SOCKET_PATH_LIMIT = 90
_MAX_WORKERS = 64


@dataclass(frozen=True)
class Stack:
    """Files, variables and ports of one stack."""

    run_dir: Path
    variables: Mapping[str, str]

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ, root: Path = ROOT) -> "Stack":
        """The stack that ``RUN_DIR`` and the other variables describe."""
        variables = read_variables(root, environ)
        return cls((root / variables.get("RUN_DIR", ".run")).resolve(), variables)

    @cached_property
    def ports(self) -> Ports:
        """Every program's port."""
        return Ports(self.variables)

    @property
    def logs(self) -> Path:
        """One file per program."""
        return self.run_dir / "logs"

    @property
    def setup_log(self) -> Path:
        """What installers and compilers said."""
        return self.logs / "setup.log"

    @property
    def supervisor_dir(self) -> Path:
        """Configuration of the supervisor; it may hold passwords."""
        return self.run_dir / "supervisor"

    @cached_property
    def supervisor_socket(self) -> Path:
        """In ``RUN_DIR``, or, where that path is too long for a socket, in a private folder for temporary files."""
        socket = self.supervisor_dir / "control.sock"
        if len(os.fsencode(socket)) <= _SOCKET_PATH_LIMIT:
            return socket
        name = re.sub(r"[^A-Za-z0-9]+", "-", str(self.run_dir))[-40:].strip("-")
        return Path(tempfile.gettempdir()) / f"crypto-streams-{os.getuid()}" / f"{name}.sock"

    @property
    def uses(self) -> tuple[str, ...]:
        """Services of its own: all that the user did not point elsewhere."""
        return tuple(name for name, variable in SERVICE_VARIABLES.items() if variable not in self.variables)

    @property
    def addresses(self) -> dict[str, str]:
        """Where the three services are, the user's or ours."""
        ours = {
            "KAFKA_BROKERS": f"127.0.0.1:{self.ports.of('kafka')}",
            "REDIS_URL": f"redis://127.0.0.1:{self.ports.of('redis')}/0",
            "MONGO_URI": f"mongodb://127.0.0.1:{self.ports.of('ferretdb')}",
        }
        return {name: self.variables.get(name, address) for name, address in ours.items()}

    @cached_property
    def mongo_dir(self) -> Path:
        """Data of the MongoDB-compatible server.

        As root it runs as another user, who may be unable to enter this clone, so its data are elsewhere and linked
        from here. The folder's name is random: a fresh clone in an old place must not find the old one's data.
        Asking makes the folder and the link, so only who is about to fill it asks.
        """
        link = self.run_dir / "mongo"
        if os.getuid() != 0:
            return link
        if not link.is_symlink():
            parent = Path("/var/lib/crypto-streams")
            parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            place = Path(tempfile.mkdtemp(prefix=f"{ROOT.name}-", dir=parent))
            place.chmod(0o755)
            self.run_dir.mkdir(parents=True, exist_ok=True)
            link.symlink_to(place)
        return link.resolve()

    @property
    def workers(self) -> int:
        """Worker processes per queue: as asked for now, else as scaled before, else as configured, else one."""
        text = os.environ.get("WORKERS") or self.remembered("workers") or self.variables.get("WORKERS", "1")
        if not re.fullmatch(r"[0-9]{1,4}", str(text)) or not 1 <= int(text) <= _MAX_WORKERS:
            raise StackError(f"WORKERS={text!r}: expected a whole number from 1 to {_MAX_WORKERS}")
        return int(text)

    def as_started(self) -> "Stack":
        """This stack with the variables that the last `make up` saw."""
        return Stack(self.run_dir, self.remembered("variables") or self.variables)

    def remembered(self, name: str) -> Any:
        """What an earlier command remembered under ``name``, or None."""
        try:
            return json.loads((self.run_dir / "stack.json").read_text(encoding="utf-8")).get(name)
        except (OSError, ValueError):
            return None

    def remember(self, **facts: Any) -> None:
        """Keep facts for later commands; None forgets one."""
        path = self.run_dir / "stack.json"
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            known = {}
        self.run_dir.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_text(json.dumps({**known, **facts}, indent=1) + "\n", encoding="utf-8")
        new.replace(path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the stack, so that two commands do not start and stop it at once."""
        with file_lock(self.run_dir / "lock", "another make command works on this stack; waiting for it"):
            yield


@contextmanager
def file_lock(path: Path, waiting: str) -> Iterator[None]:
    """Hold an exclusive lock on ``path``; ``waiting`` is said if somebody else has it."""
    from deploy.native.progress import say

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"  {waiting} ...")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
