"""Up, down, scale, wipe and the rest, for a native stack."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from deploy.native import commands, downloads, leftovers, programs, supervisor_config, system_packages, venv, waiting
from deploy.native.errors import StackError
from deploy.native.ports import describe_listener, is_free, listeners
from deploy.native.programs import Program
from deploy.native.progress import say, side_by_side, step
from deploy.native.stack import ROOT, Stack
from deploy.native.supervision import Supervisor
from deploy.native.variables import documented_names, is_ours

#: What a stack keeps in its folder; `wipe` deletes these and nothing else.
KEPT = ("kafka", "redis", "mongo", "logs", "supervisor", "simulator.json", "stack.json")


def up(stack: Stack) -> None:
    """Bring the whole system up and return when it serves; what runs already and is unchanged is left alone."""
    with stack.locked():
        wanted = [*programs.services(stack), *programs.pipeline(stack)]
        probe = ("candle", "--rest", url(stack, "rest"), "--ws", url(stack, "ws"), "--pair", first_pair(stack))
        _bring_up(stack, wanted, f"waiting for the first candle of {first_pair(stack)}", probe)


def services_up(stack: Stack) -> None:
    """Start Kafka, Redis and the MongoDB-compatible server only, and return when they answer."""
    with stack.locked():
        addresses = stack.addresses
        options = {"--kafka": "KAFKA_BROKERS", "--redis": "REDIS_URL", "--mongo": "MONGO_URI"}
        probe = ["services", *(word for option, name in options.items() for word in (option, addresses[name]))]
        _bring_up(stack, programs.services(stack), "waiting for Kafka, Redis and MongoDB", probe)


def _bring_up(stack: Stack, wanted: list[Program], what: str, probe: Sequence[str]) -> None:
    supervisor = Supervisor(stack)
    if not supervisor.is_running() and (ended := leftovers.end(stack)):
        say(f"  ended what an earlier run left: {', '.join(ended)}")
    _check_ports(stack, wanted)
    _set_up(stack)
    _prepare_data(stack)
    supervisor_config.write(stack, _again(wanted, stack))
    stack.remember(kind="native", variables=dict(stack.variables))
    if supervisor.is_running():
        supervisor.update()
    else:
        supervisor.start()
    with step(what):
        waiting.until_works(stack, supervisor, wanted, probe)


def _again(wanted: list[Program], stack: Stack) -> list[Program]:
    # Made anew after set-up: only now is it known which Java and Redis there are.
    ours = any(program.name == "rest" for program in wanted)
    return [*programs.services(stack), *(programs.pipeline(stack) if ours else [])]


def _check_ports(stack: Stack, wanted: Sequence[Program]) -> None:
    owners: dict[int, str] = {}
    for program in wanted:
        for port in program.ports:
            if port in owners:
                raise StackError(
                    f"{program.name} and {owners[port]} would both listen on port {port}: change one of them"
                )
            owners[port] = program.name
    mine = {str(each.pid) for each in leftovers.find(stack)}
    for port, name in owners.items():
        if not is_free(port) and not listeners(port) & mine:
            raise StackError(
                f"port {port}, for {name}, is taken by {describe_listener(port)}: stop it, "
                f"or run this stack beside it: PORT_OFFSET={stack.ports.offset + 100} make up"
            )


def _set_up(stack: Stack) -> None:
    log = stack.setup_log
    kafka = "kafka" in stack.uses
    system_packages.require(kafka=kafka, maven=kafka and not downloads.kafka_libs().is_dir(), venv=not venv.works())
    tasks = {"installing the Python packages": lambda: venv.ensure("run", venv.RUN_REQUIREMENTS, log)}
    if kafka:
        tasks["fetching Kafka"] = lambda: downloads.ensure_kafka(log)
    if "redis" in stack.uses:
        tasks["fetching Redis"] = lambda: system_packages.ensure_redis(downloads.cache_dir(), log)
    if "mongo" in stack.uses:
        tasks["fetching and building the MongoDB-compatible server"] = lambda: downloads.ensure_mongo(log)
    side_by_side(tasks)


def _prepare_data(stack: Stack) -> None:
    for folder in programs.owned_folders(stack):
        folder.mkdir(parents=True, exist_ok=True)

    def prepare(script: Path, action: str, name: str) -> None:
        commands.run(
            ["bash", script, action],
            failure=f"the data of {name} could not be prepared",
            log=stack.setup_log,
            variables=programs.service_environment(stack, name),
        )

    tasks = {}
    if "kafka" in stack.uses:
        tasks["preparing Kafka's data"] = lambda: prepare(downloads.KAFKA_SCRIPT, "format", "kafka")
    if "mongo" in stack.uses:
        tasks["preparing PostgreSQL's data"] = lambda: prepare(downloads.MONGO_SCRIPT, "init", "postgres")
    if tasks:
        side_by_side(tasks)


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
        for each in chosen:
            supervisor.restart(each)
        waiting.until_answer(stack, [each for each in known if each.name in chosen])


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
            supervisor.update(restart_changed=False)
            waiting.until_answer(as_started, [each for each in wanted if each.name.startswith("workers-")])


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


def first_pair(stack: Stack) -> str:
    """The pair whose first candle proves that everything works."""
    exchange = stack.variables.get("EXCHANGE", "sim").split(",")[0].strip()
    pairs = stack.variables.get(f"PAIRS_{exchange.upper()}") or stack.variables.get("PAIRS", "BTC-USD")
    return pairs.split(",")[0].strip()


def url(stack: Stack, name: str) -> str:
    """Where people on this machine reach ``rest`` or ``ws``."""
    host = stack.variables.get("BIND_HOST", "127.0.0.1")
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"{'ws' if name == 'ws' else 'http'}://{host}:{stack.ports.of(name)}"


def greeting(stack: Stack, started: float) -> str:
    """What a person reads when the system serves."""
    pair = first_pair(stack)
    return "\n".join(
        [
            f"crypto-streams is up ({time.monotonic() - started:.0f} s)",
            f"  web page  {url(stack, 'rest')}/",
            f"  history   {url(stack, 'rest')}/api/ohlcv?pair={pair}",
            f"  live      {url(stack, 'ws')}  (send: subscribe,{pair})",
            f"  try it    curl '{url(stack, 'rest')}/api/ohlcv?pair={pair}&limit=3'",
        ]
    )
