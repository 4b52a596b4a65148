"""``python3 -m deploy.native COMMAND``: what the Makefile calls.

One sentence on standard error and exit status 1 when something cannot be done.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence

from deploy.native import chromium, containers, downloads, endpoints, lifecycle, status, venv
from deploy.native.errors import StackError
from deploy.native.progress import side_by_side
from deploy.native.stack import Stack


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command and return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return _dispatch(options, Stack.from_environment()) or 0
    except StackError as error:
        print(f"make: {error}", file=sys.stderr)
        return 1
    except OSError as error:  # a full disk, a folder that is not ours
        print(f"make: {error.filename or 'the system'}: {error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m deploy.native", description="Runs the system.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, what in {
        "up": "bring everything up and wait until it serves",
        "down": "stop everything; data stays",
        "ps": "what runs, and whether it works",
        "scale": "run WORKERS workers per queue",
        "wipe": "stop everything and delete its data; asks first unless YES=1",
    }.items():
        commands.add_parser(name, help=what)
    logs = commands.add_parser("logs", help="the programs' logs")
    logs.add_argument("program", nargs="?", default="")
    restart = commands.add_parser("restart", help="restart one program, or a pool of workers")
    restart.add_argument("program")
    setup = commands.add_parser(
        "setup", help="the virtual environment, to run, to check or to test; for tests a browser"
    )
    setup.add_argument("purpose", choices=["run", "check", "test"])
    services = commands.add_parser("services", help="Kafka, Redis and a MongoDB-compatible server only")
    services.add_argument("action", choices=["up", "down", "run"])
    services.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND", help="for run: a command beside them")
    return parser


def _dispatch(options: argparse.Namespace, stack: Stack) -> int | None:
    if options.command == "setup":
        return _setup(options.purpose, stack)
    if options.command == "services":
        return _services(options, stack)
    native = _kind(stack, starting=options.command == "up") == "native"
    if options.command == "up":
        started = time.monotonic()
        pair = lifecycle.up(stack) if native else containers.up(stack)
        print(endpoints.greeting(stack, pair, started))
    elif options.command == "down":
        lifecycle.down(stack) if native else containers.down(stack)
    elif options.command == "ps":
        print(status.table(stack)) if native else containers.ps(stack)
    elif options.command == "scale":
        if not os.environ.get("WORKERS"):
            raise StackError("say how many workers per queue: make scale WORKERS=3")
        lifecycle.scale(stack) if native else containers.scale(stack)
    elif options.command == "wipe":
        _confirm(stack)
        lifecycle.wipe(stack) if native else containers.wipe(stack)
    elif options.command == "restart":
        lifecycle.restart(stack, options.program) if native else containers.restart(stack, options.program)
    elif options.command == "logs":
        follow = sys.stdout.isatty()
        status.logs(stack, options.program, follow=follow) if native else containers.logs(
            stack, options.program, follow=follow
        )
    return None


def _kind(stack: Stack, *, starting: bool) -> str:
    """``native`` or ``docker``: what runs already, else what ``STACK`` asks for, else what there is."""
    asked, runs = stack.variables.get("STACK", ""), stack.remembered("kind")
    if asked not in {"", "native", "docker"}:
        raise StackError(f"STACK={asked!r}: expected native or docker")
    if starting and runs and asked and runs != asked:
        raise StackError(f"this clone runs its {runs} stack: `make down STACK={runs}` first")
    if asked == "docker" and not containers.engine_answers():
        raise StackError(
            "STACK=docker: `docker info` or `docker compose version` fails: start Docker, or use STACK=native"
        )
    return asked or runs or ("docker" if containers.engine_answers() else "native")


def _setup(purpose: str, stack: Stack) -> int:
    log = stack.setup_log
    packages, wanted = ("run", venv.RUN_REQUIREMENTS) if purpose == "run" else ("test", venv.TEST_REQUIREMENTS)
    side_by_side({"installing the Python packages": lambda: venv.ensure(packages, wanted, log)})
    if purpose == "test":  # only now, since either may need apt's lists, which one at a time can bring up to date
        side_by_side({"fetching Chromium": lambda: chromium.ensure(downloads.cache_dir(), log)})
    return 0


def _services(options: argparse.Namespace, stack: Stack) -> int:
    # Always its own services, never the user's: tests empty them.
    variables = {name: value for name, value in stack.variables.items() if name in {"RUN_DIR", "PORT_OFFSET"}}
    own = Stack(stack.run_dir, variables)
    if options.action == "run":
        return lifecycle.run_with_services(own, options.words)
    if options.action == "up":
        lifecycle.services_up(own)
        print("\n".join(f"export {name}={address}" for name, address in own.addresses.items()))
    else:
        lifecycle.down(own)
    return 0


def _confirm(stack: Stack) -> None:
    if os.environ.get("YES") == "1":
        return
    print(
        f"This stops the system and deletes every candle and message in {stack.run_dir}. Sure? [y/N] ",
        end="",
        flush=True,
    )
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise StackError("nothing deleted (YES=1 skips the question)")


if __name__ == "__main__":
    sys.exit(main())
