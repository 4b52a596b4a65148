"""What a stack consists of: each program's command, environment, port, and turn when stopping.

Every address is passed explicitly, so that a program started by hand from the same clone (which reads ``.env``) and
one of this stack cannot mean different services by accident.
"""

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from deploy.native import downloads, system_packages
from deploy.native.stack import MARKER, PROGRAM_MARKER, ROOT, SERVICE_VARIABLES, Stack
from deploy.native.variables import LAUNCHER_VARIABLES
from deploy.native.venv import VENV

BRIDGES = ("persist", "fanout", "rollup", "rollup-live")
#: Dramatiq's queues; each has workers of its own.
QUEUES = ("persist", "fanout", "rollup")
#: The supervisor's own name among the programs of a stack.
SUPERVISOR = "supervisord"


class Turn(IntEnum):
    """Who is stopped first: what uses a service goes before the service."""

    SUPERVISOR = 0  # else it would start again what is being stopped
    OURS = 1
    SERVICE = 2
    STORAGE = 3  # PostgreSQL, under FerretDB


#: What is neither here nor `SUPERVISOR` is `Turn.OURS`.
_TURNS = {
    "kafka": Turn.SERVICE,
    "redis": Turn.SERVICE,
    "ferretdb": Turn.SERVICE,
    "postgres": Turn.STORAGE,
    SUPERVISOR: Turn.SUPERVISOR,
}


@dataclass(frozen=True)
class Program:
    """One supervised process."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    #: Listens here once it works.
    ports: tuple[int, ...] = ()
    #: Whether its children get the stop signal too, or hear it from their parent.
    stop_as_group: bool = True


def turn_of(name: str) -> Turn:
    """When the program is stopped."""
    return _TURNS.get(name, Turn.OURS)


def stop_signal_of(name: str) -> str:
    """How the program is asked to stop."""
    # PostgreSQL's "fast shutdown"; TERM would wait until every client has left.
    return "INT" if name == "postgres" else "TERM"


def services(stack: Stack) -> list[Program]:
    """The services that this stack runs itself."""
    made = {"kafka": [_kafka], "redis": [_redis], "mongo": [_postgres, _ferretdb]}
    return [make(stack) for service in stack.uses for make in made[service]]


def pipeline(stack: Stack) -> list[Program]:
    """Our own processes, from the exchange to the reader."""
    exchanges = [name.strip() for name in stack.variables.get("EXCHANGE", "sim").split(",")]
    programs = []
    if any(name.startswith("sim") for name in exchanges):
        # Serves nothing but the exchange's own protocol, so its port is the exchange's.
        programs.append(_python(stack, "simulate", "ingest simulate", layers=("ingest",)))
    programs.append(_python(stack, "ingest", "ingest run", layers=("ingest",)))
    for bridge in BRIDGES:
        programs.append(_python(stack, f"bridge-{bridge}", f"workers bridge {bridge}", layers=("ingest", "workers")))
    for queue in QUEUES:
        programs += [_workers(stack, queue, instance) for instance in range(1, stack.workers + 1)]
    programs.append(_python(stack, "ws", "web.ws", layers=("ingest", "workers", "web")))
    programs.append(_rest(stack))
    return programs


def service_environment(stack: Stack, name: str) -> dict[str, str]:
    """What the scripts of a service need to know; also while they prepare its data."""
    ports = stack.ports
    marks = {MARKER: str(stack.run_dir), PROGRAM_MARKER: name}
    if name == "kafka":
        return marks | {
            "LIBS": str(downloads.kafka_libs()),
            "DATA": str(stack.run_dir / "kafka"),
            "JAVA": str(system_packages.find_java() or "java"),
            "KAFKA_PORT": str(ports.of("kafka")),
            "KAFKA_CONTROLLER_PORT": str(ports.of("kafka-controller")),
        }
    return marks | {
        "PREFIX": str(downloads.mongo_prefix()),
        # The link, if it is one: naming the data must not make them.
        "STATE": str(stack.run_dir / "mongo"),
        "FERRETDB": downloads.FERRETDB_VERSION,
        "MONGO_PORT": str(ports.of("ferretdb")),
        "PG_PORT": str(ports.of("postgres")),
    }


def _kafka(stack: Stack) -> Program:
    return Program(
        "kafka",
        ("bash", str(downloads.KAFKA_SCRIPT), "run"),
        service_environment(stack, "kafka"),
        (stack.ports.of("kafka"), stack.ports.of("kafka-controller")),
    )


def _redis(stack: Stack) -> Program:
    command = system_packages.find_redis(downloads.cache_dir()) or ("redis-server",)
    port = stack.ports.of("redis")
    options = {
        "bind": "127.0.0.1",
        "port": port,
        "dir": stack.run_dir / "redis",
        "appendonly": "yes",
        "appendfsync": "everysec",
        # Else Redis writes its title over its environment, and `leftovers` could not tell whose it is.
        "set-proc-title": "no",
        # Jobs and the live side must never be evicted to make room.
        "maxmemory-policy": "noeviction",
    }
    words = tuple(word for option, value in options.items() for word in (f"--{option}", str(value)))
    marks = {MARKER: str(stack.run_dir), PROGRAM_MARKER: "redis"}
    return Program("redis", (*command, *words), marks, (port,))


def _postgres(stack: Stack) -> Program:
    return Program(
        "postgres",
        ("bash", str(downloads.MONGO_SCRIPT), "run", "postgres"),
        service_environment(stack, "postgres"),
        (stack.ports.of("postgres"),),
    )


def _ferretdb(stack: Stack) -> Program:
    return Program(
        "ferretdb",
        ("bash", str(downloads.MONGO_SCRIPT), "run", "ferretdb"),
        service_environment(stack, "ferretdb"),
        (stack.ports.of("ferretdb"),),
    )


def _python(stack: Stack, name: str, module: str, layers: tuple[str, ...]) -> Program:
    command = (str(VENV / "bin" / "python"), "-m", *module.split())
    return _ours(stack, name, command, layers, stack.ports.of(name))


def _workers(stack: Stack, queue: str, instance: int) -> Program:
    threads = stack.variables.get("WORKER_THREADS", "4")
    options = f"-Q {queue} -p 1 -t {threads} --skip-logging --worker-shutdown-timeout 10000"
    command = (str(VENV / "bin" / "dramatiq"), "workers", *options.split())
    port = stack.ports.of(f"workers-{queue}", instance)
    # Dramatiq passes the signal on to its workers, and takes a second one for "now".
    return _ours(stack, f"workers-{queue}-{instance}", command, ("ingest", "workers"), port, stop_as_group=False)


def _rest(stack: Stack) -> Program:
    command = (str(VENV / "bin" / "gunicorn"), "web.api:app")
    return _ours(stack, "rest", command, ("ingest", "workers", "web"), stack.ports.of("rest"), stop_as_group=False)


def _ours(
    stack: Stack, name: str, command: tuple[str, ...], layers: tuple[str, ...], port: int, *, stop_as_group: bool = True
) -> Program:
    environment = {
        **{name: value for name, value in stack.variables.items() if name not in LAUNCHER_VARIABLES},
        **stack.addresses,
        "REST_PORT": str(stack.ports.of("rest")),
        "WS_PORT": str(stack.ports.of("ws")),
        "SIM_PORT": str(stack.ports.of("simulate")),
        "SIM_STATE": stack.variables.get("SIM_STATE", str(stack.run_dir / "simulator.json")),
        MARKER: str(stack.run_dir),
        PROGRAM_MARKER: name,
        # Changed code is a changed environment, and so a program to restart.
        "CRYPTO_STREAMS_SOURCE": _fingerprint(layers),
    }
    if name not in {"ws", "rest", "simulate"}:
        environment["HEALTH_PORT"] = str(port)
    return Program(name, command, environment, (port,), stop_as_group=stop_as_group)


def _fingerprint(layers: tuple[str, ...]) -> str:
    folders = [
        path for layer in layers for path in sorted((ROOT / layer).rglob("*")) if "__pycache__" not in path.parts
    ]
    beside = [ROOT / "requirements" / f"{layer}.txt" for layer in layers]
    if "web" in layers:
        beside.append(ROOT / "gunicorn.conf.py")
    digest = hashlib.sha256()
    for path in [*folders, *beside]:
        if path.is_file():
            digest.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def owned_folders(stack: Stack) -> list[Path]:
    """Folders that must exist before the programs start."""
    return [stack.logs, *(stack.run_dir / name for name in SERVICE_VARIABLES if name in stack.uses and name != "mongo")]


def on_parent_death(signal: str) -> tuple[str, ...]:
    """Words before a command that end it when the supervisor is killed, where the machine can do that."""
    return ("setpriv", "--pdeathsig", signal, "--") if shutil.which("setpriv") else ()
