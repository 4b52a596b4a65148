"""Up, down, scale, wipe and the rest, for a native stack."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence

from deploy.native import (
    endpoints,
    leftovers,
    preparation,
    program_logs,
    programs,
    settings_check,
    supervisor_config,
    troubles,
    waiting,
)
from deploy.native.errors import StackError
from deploy.native.programs import Program
from deploy.native.progress import say, step
from deploy.native.stack import ROOT, Stack
from deploy.native.supervision import Supervisor
from deploy.native.variables import documented_names, is_ours

#: What a stack keeps in its folder; `wipe` deletes these and nothing else.
KEPT = ("kafka", "redis", "mongo", "logs", "supervisor", "simulator.json", "stack.json")


def up(stack: Stack) -> str:
    """Bring the whole system up and return when it serves; what runs already and is unchanged is left alone.

    Returns a pair that it has a candle of.
    """
    with stack.locked():
        exchanges = endpoints.exchanges(stack)

        def obstacle() -> str | None:
            known = troubles.read(program_logs.records(stack, "ingest"), exchanges[0])
            return known.of_all(endpoints.pairs_of(stack, exchanges[0]))

        probe = endpoints.candle_probe(stack, endpoints.url(stack, "rest"), endpoints.url(stack, "ws"))
        wanted = [*programs.services(stack), *programs.pipeline(stack)]
        served = _bring_up(stack, wanted, "waiting for the first candle", probe, obstacle)
        said = program_logs.records(stack, "ingest")
        for exchange in exchanges:
            if wrong := troubles.read(said, exchange).of_some():
                say(f"  note: {wrong}")
        return served


def services_up(stack: Stack) -> None:
    """Start Kafka, Redis and the MongoDB-compatible server only, and return when they answer."""
    with stack.locked():
        addresses = stack.addresses
        options = {"--kafka": "KAFKA_BROKERS", "--redis": "REDIS_URL", "--mongo": "MONGO_URI"}
        probe = ["services", *(word for option, name in options.items() for word in (option, addresses[name]))]
        _bring_up(stack, programs.services(stack), "waiting for Kafka, Redis and MongoDB", probe)


def _bring_up(
    stack: Stack,
    wanted: list[Program],
    what: str,
    probe: Sequence[str],
    obstacle: Callable[[], str | None] = lambda: None,
) -> str:
    supervisor = Supervisor(stack)
    if not supervisor.is_running() and (ended := leftovers.end(stack)):
        say(f"  ended what an earlier run left: {', '.join(ended)}")
    # Whatever can be refused is refused before anything is made or started.
    preparation.check_ports(stack, wanted)
    preparation.set_up(stack)
    wanted = _again(wanted, stack)
    for program in wanted:
        if program.name == "rest":  # it reads the settings of all layers
            settings_check.check(stack, program)
    preparation.prepare_data(stack)
    supervisor_config.write(stack, wanted)
    stack.remember(kind="native", variables=dict(stack.variables))
    _start(stack, supervisor)
    with step(what):
        return waiting.until_works(stack, supervisor, wanted, probe, obstacle)


def _start(stack: Stack, supervisor: Supervisor) -> None:
    before = program_logs.sizes(stack)
    if supervisor.is_running():
        program_logs.mark(stack, before, supervisor.update())
    else:
        program_logs.mark(stack, before)
        supervisor.start()


def _again(wanted: list[Program], stack: Stack) -> list[Program]:
    # Made anew after set-up: only now is it known which Java and Redis there are.
    ours = any(program.name == "rest" for program in wanted)
    return [*programs.services(stack), *(programs.pipeline(stack) if ours else [])]


def down(stack: Stack) -> None:
    """Stop everything, lose nothing, leave no process."""
    with stack.locked():
        _down(stack)


def _down(stack: Stack) -> None:
    supervisor = Supervisor(stack)
    with step("stopping"):
        if supervisor.is_running():
            supervisor.shut_down()
        leftovers.end(stack)
    stack.remember(kind=None)


def restart(stack: Stack, name: str) -> None:
    """Restart one program, or every instance of a pool of workers.

    Raises:
        StackError: If nothing runs, or nothing of that name.
    """
    supervisor = running_supervisor(stack)
    names = [status.name for status in supervisor.statuses()]
    chosen = [each for each in names if each == name or each.rpartition("-")[0] == name]
    if not chosen:
        raise StackError(f"no program is called {name!r}; there are {', '.join(names)}")
    as_started = stack.as_started()
    known = [*programs.services(as_started), *programs.pipeline(as_started)]
    with stack.locked(), step(f"restarting {', '.join(chosen)}"):
        program_logs.mark(stack, program_logs.sizes(stack), chosen)
        for each in chosen:
            supervisor.restart(each)
        waiting.until_answer(stack, supervisor, [each for each in known if each.name in chosen])


def scale(stack: Stack) -> None:
    """Run so many workers per queue, now and after later starts."""
    supervisor = running_supervisor(stack)
    with stack.locked():
        stack.remember(workers=stack.workers)
        # As the last `make up` was called: scaling must not change anything else.
        as_started = stack.as_started()
        wanted = [*programs.services(as_started), *programs.pipeline(as_started)]
        supervisor_config.write(as_started, wanted)
        with step(f"scaling to {as_started.workers} workers per queue"):
            before = program_logs.sizes(stack)
            program_logs.mark(stack, before, supervisor.update(restart_changed=False))
            workers = [each for each in wanted if each.name.startswith("workers-")]
            waiting.until_answer(as_started, supervisor, workers)


def wipe(stack: Stack) -> None:
    """Stop everything and delete the stack's data."""
    with stack.locked():
        _down(stack)
        link = stack.run_dir / "mongo"
        if link.is_symlink():
            shutil.rmtree(link.resolve(), ignore_errors=True)
            link.unlink()
        for name in KEPT:
            path = stack.run_dir / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def run_with_services(stack: Stack, command: Sequence[str]) -> int:
    """Run a command beside fresh services, named to it as ``TEST_…``; take them down, return its exit status.

    The command sees no setting of the user's: tests set what they need.
    """
    documented = documented_names(ROOT)
    # Nor make's own: tests run make themselves, which must not take over the flags of this one.
    ours = {name for name in os.environ if is_ours(name, documented) or name.startswith(("MAKE", "MFLAGS"))}
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    environment |= {f"TEST_{name}": value for name, value in stack.addresses.items()}
    # A pipe that closes, or a CI that gives up, must not leave the services behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    status = 1
    try:
        services_up(stack)
        status = subprocess.run(command, env=environment, check=False).returncode
    finally:
        # After a failure data and logs stay, to be looked at.
        down(stack) if status else wipe(stack)
    return status


def running_supervisor(stack: Stack) -> Supervisor:
    """The supervisor of a stack that is up.

    Raises:
        StackError: If it is not.
    """
    supervisor = Supervisor(stack)
    if not supervisor.is_running():
        raise StackError("nothing is running here: `make up` starts it")
    return supervisor
