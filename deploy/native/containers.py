"""The same commands with `docker compose`, where a Docker engine answers."""

import os
import shutil
import subprocess
import time
import urllib.parse
from collections.abc import Sequence
from pathlib import Path

from deploy.native.endpoints import candle_probe, url
from deploy.native.errors import StackError
from deploy.native.programs import QUEUES
from deploy.native.progress import step
from deploy.native.stack import ROOT, Stack

_ENGINE_SECONDS = 10.0
_FIRST_CANDLE_SECONDS = 120


def engine_answers() -> bool:
    """Whether `docker compose` could start something here."""
    if not shutil.which("docker"):
        return False
    try:
        asked = (["docker", "info"], ["docker", "compose", "version"])
        return all(subprocess.run(each, capture_output=True, timeout=_ENGINE_SECONDS).returncode == 0 for each in asked)
    except subprocess.TimeoutExpired:
        return False


def up(stack: Stack) -> str:
    """Build, start, and wait until the first candle is served; return its pair."""
    _compose(stack, "up", "--detach", "--build", "--wait", "--remove-orphans", *_scale(stack))
    stack.remember(kind="docker")
    with step("waiting for the first candle"):
        return _wait_for_candle(stack)


def _wait_for_candle(stack: Stack) -> str:
    # From inside: this machine need not have our Python packages.
    rest, ws = f"http://rest:{stack.ports.of('rest')}", f"ws://127.0.0.1:{stack.ports.of('ws')}"
    words = ["python", "-", *candle_probe(stack, rest, ws), "--seconds", str(_FIRST_CANDLE_SECONDS)]
    script = Path(__file__).with_name("probe.py").read_text(encoding="utf-8")
    command = ["docker", "compose", "exec", "-T", "ws", *words]
    done = subprocess.run(command, cwd=ROOT, env=_environment(stack), input=script, capture_output=True, text=True)
    if done.returncode:
        missing = (done.stdout.strip() or done.stderr.strip()).splitlines()[-1:]
        raise StackError(f"the containers run, but {missing[0] if missing else 'nothing is served'}: see `make logs`")
    address = url(stack, "rest")
    if not _reachable(address):
        raise StackError(f"the containers run, but {address} cannot be reached from this machine")
    return done.stdout.strip()


def _reachable(address: str) -> bool:
    from deploy.native.ports import answers

    parts = urllib.parse.urlsplit(address)
    deadline = time.monotonic() + 5
    while not (reached := answers(parts.port or 80, parts.hostname or "127.0.0.1")) and time.monotonic() < deadline:
        time.sleep(0.2)
    return reached


def down(stack: Stack) -> None:
    """Stop and remove the containers; volumes stay."""
    _compose(stack, "down", "--remove-orphans")
    stack.remember(kind=None)


def wipe(stack: Stack) -> None:
    """Stop and remove the containers and their volumes."""
    _compose(stack, "down", "--remove-orphans", "--volumes")
    stack.remember(kind=None, workers=None)


def restart(stack: Stack, name: str) -> None:
    """Restart one service."""
    _compose(stack, "restart", name)


def scale(stack: Stack) -> None:
    """Run so many workers per queue, now and after later starts."""
    stack.remember(workers=stack.workers)
    _compose(stack, "up", "--detach", "--no-recreate", "--wait", *_scale(stack))


def ps(stack: Stack) -> None:
    """Show the containers."""
    _compose(stack, "ps")


def logs(stack: Stack, name: str, *, follow: bool) -> None:
    """Show what the containers say."""
    _compose(stack, "logs", "--tail", "50", *(["--follow"] if follow else []), *([name] if name else []))


def _scale(stack: Stack) -> list[str]:
    return [word for queue in QUEUES for word in ("--scale", f"workers-{queue}={stack.workers}")]


def _environment(stack: Stack) -> dict[str, str]:
    ports = {"REST_PORT": str(stack.ports.of("rest")), "WS_PORT": str(stack.ports.of("ws"))}
    return {**os.environ, **ports}


def _compose(stack: Stack, *words: str) -> None:
    command: Sequence[str] = ["docker", "compose", *words]
    if subprocess.run(command, cwd=ROOT, env=_environment(stack)).returncode:
        raise StackError(f"`{' '.join(command[:3])}` failed: see above")
