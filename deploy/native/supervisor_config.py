"""Writes the supervisor's configuration: one file of its own, and one per program in an included folder.

One file per program rather than supervisor's ``numprocs``, which is fixed at start: with files, a reload starts and
stops just what was added, changed or removed.
"""

import os
import resource
import shlex
from collections.abc import Iterable
from pathlib import Path

from deploy.native.errors import StackError
from deploy.native.programs import Program, on_parent_death, stop_signal_of, turn_of
from deploy.native.stack import ROOT, Stack

#: Every process has left 15 s after SIGTERM; then it is killed.
STOP_WAIT_SECONDS = 18
_LOG_BYTES = "10MB"

#: Sockets of many clients need descriptors; the supervisor hands its own limit on.
_WANTED_DESCRIPTORS = 65_536

_MAIN = """\
[supervisord]
logfile={log}
logfile_maxbytes=1MB
logfile_backups=1
loglevel=info
pidfile={pid}
directory={root}
minfds={descriptors}
{user}
[unix_http_server]
file={socket}
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[include]
files = {programs}
"""

# startsecs/startretries: a program that is killed again and again is always started again; one that cannot even
# start is tried with growing pauses.
_PROGRAM = """\
[program:{name}]
command={command}
environment={environment}
directory={root}
priority={priority}
autorestart=true
startsecs=1
startretries=1000000
stopsignal={stop_signal}
stopasgroup={stop_as_group}
killasgroup=true
stopwaitsecs={stop_wait}
redirect_stderr=true
stdout_logfile={log}
stdout_logfile_maxbytes={log_bytes}
stdout_logfile_backups=1
"""


def main_path(stack: Stack) -> Path:
    """The supervisor's own configuration file."""
    return stack.supervisor_dir / "supervisord.conf"


def write(stack: Stack, programs: Iterable[Program]) -> None:
    """Write the files of exactly these programs; files of others go."""
    included = stack.supervisor_dir / "programs"
    included.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(main_path(stack), _main(stack, included))
    wanted = {included / f"{program.name}.conf": render(program, stack.logs) for program in programs}
    for path in set(included.glob("*.conf")) - set(wanted):
        path.unlink()
    for path, text in wanted.items():
        _write(path, text)


def render(program: Program, logs: Path) -> str:
    """One program's section.

    Raises:
        StackError: If a value of its environment cannot be written in this format.
    """
    stop_signal = stop_signal_of(program.name)
    pairs = (f"{name}={_quoted(name, value)}" for name, value in sorted(program.environment.items()))
    # Stopped from the highest priority to the lowest, should the supervisor be stopped by itself.
    return _PROGRAM.format(
        name=program.name,
        command=_escape(shlex.join([*on_parent_death(stop_signal), *program.command])),
        environment=_escape(",".join(pairs)),
        root=ROOT,
        priority=900 - turn_of(program.name),
        stop_signal=stop_signal,
        stop_as_group=str(program.stop_as_group).lower(),
        stop_wait=STOP_WAIT_SECONDS,
        log=_escape(str(logs / f"{program.name}.log")),
        log_bytes=_LOG_BYTES,
    )


def _main(stack: Stack, included: Path) -> str:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MAIN.format(
        log=_escape(str(stack.logs / "supervisord.log")),
        pid=_escape(str(stack.supervisor_dir / "supervisord.pid")),
        root=_escape(str(ROOT)),
        descriptors=_WANTED_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _WANTED_DESCRIPTORS),
        user="user=root\n" if os.getuid() == 0 else "",
        socket=_escape(str(stack.supervisor_socket)),
        programs=f"{included}/*.conf",
    )


def _quoted(name: str, value: str) -> str:
    # The format has no escapes: quotes inside, or what looks like a comment, would be cut off in silence.
    quote = "'" if '"' in value else '"'
    comment = any(f"{space}{mark}" in value for space in " \t" for mark in ";#")
    if quote in value or "\n" in value or comment or value[:1] in "'\"" or value[-1:] in "'\"":
        raise StackError(f"{name}: quotes at its ends, line breaks, ' ;' and ' #' cannot be passed on")
    return f"{quote}{value}{quote}"


def _escape(text: str) -> str:
    return text.replace("%", "%%")


def _write(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.touch(mode=0o600)
    new.write_text(text, encoding="utf-8")
    new.replace(path)
