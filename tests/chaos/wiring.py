"""The programs of `make up`, with a proxy on every link between two of them.

Commands and environments are those of `deploy.native`; only the addresses are others. Each client of Kafka has a
listener of its own there, because a broker tells clients by which address to come back, and that must be the proxy's.
"""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from deploy.native import downloads, programs
from deploy.native.programs import Program
from deploy.native.stack import Stack

#: What a program is told by, of the service that it uses.
_VARIABLES = {
    "simulate": "SIM_PORT",
    "kafka": "KAFKA_BROKERS",
    "redis": "REDIS_URL",
    "mongo": "MONGO_URI",
    "postgres": "PG_PORT",
}
_ADDRESSES = {"kafka": "127.0.0.1:{}", "redis": "redis://127.0.0.1:{}/0", "mongo": "mongodb://127.0.0.1:{}"}

#: Client to the services that it reaches through proxies. Worker programs of a queue share their links.
CLIENTS = {
    "ingest": ("simulate", "kafka"),
    "bridge-persist": ("kafka", "redis", "mongo"),
    "bridge-fanout": ("kafka", "redis"),
    "bridge-rollup": ("kafka", "redis", "mongo"),
    "bridge-rollup-live": ("kafka", "redis", "mongo"),
    "workers-persist": ("redis", "mongo"),
    "workers-fanout": ("redis",),
    "workers-rollup": ("redis", "mongo"),
    "ws": ("redis", "mongo"),
    "rest": ("redis", "mongo"),
    "ferretdb": ("postgres",),
}
#: Every link, as ``client/service``.
LINKS = tuple(f"{client}/{service}" for client, services in CLIENTS.items() for service in services)

#: Programs of a cluster: two workers for the store, so that one may die; the rest once.
LEFT_OUT = frozenset({"workers-fanout-2", "workers-rollup-2"})

#: Links first, then Kafka's listeners, in one block: clusters whose offsets differ by more than it share no port.
_FIRST_PORT = 20_000
#: Ports from here on belong to connections.
_PORT_LIMIT = 32_768


@dataclass(frozen=True)
class Wire:
    """One link: the port that its client is told, and where the proxy leads."""

    name: str
    port: int
    target: int

    @property
    def client(self) -> str:
        """Who connects."""
        return self.name.partition("/")[0]

    @property
    def service(self) -> str:
        """To what."""
        return self.name.partition("/")[2]


class Wiring:
    """Ports, addresses and commands of one cluster."""

    def __init__(self, stack: Stack) -> None:
        """Work out the ports.

        Raises:
            ValueError: If ``PORT_OFFSET`` leads beyond the ports that may be listened on.
        """
        self._stack = stack
        ports = stack.ports
        first = _FIRST_PORT + ports.offset
        if max(first + 2 * len(LINKS), ports.of("ferretdb")) > _PORT_LIMIT:
            raise ValueError(f"PORT_OFFSET={ports.offset}: leads beyond port {_PORT_LIMIT}")
        services = {"simulate": "simulate", "redis": "redis", "mongo": "ferretdb", "postgres": "postgres"}
        self.wires = []
        for number, name in enumerate(LINKS):
            service = name.partition("/")[2]
            target = first + len(LINKS) + number if service == "kafka" else ports.of(services[service])
            self.wires.append(Wire(name, first + number, target))
        self._recipe = stack.run_dir / "kafka-recipe"

    def ports(self) -> Iterator[int]:
        """Every port that is listened on beside those of the programs."""
        for wire in self.wires:
            yield wire.port
            if wire.service == "kafka":
                yield wire.target

    def programs(self, mongo_state: Path) -> list[Program]:
        """Every program of the cluster, services first.

        Args:
            mongo_state: Where the data of the MongoDB-compatible server are.
        """
        self._write_recipe()
        found = [*programs.services(self._stack), *programs.pipeline(self._stack)]
        return [self._wired(program, mongo_state) for program in found if program.name not in LEFT_OUT]

    def _wired(self, program: Program, mongo_state: Path) -> Program:
        if program.name == "kafka":
            return replace(program, command=("bash", str(self._recipe / "kafka.sh"), "run"))
        environment = {**program.environment, **self._addresses_of(program.name)}
        if "STATE" in environment:
            environment["STATE"] = str(mongo_state)
        return replace(program, environment=environment)

    def _addresses_of(self, program: str) -> Mapping[str, str]:
        client = program if program in CLIENTS else program.rpartition("-")[0]
        mine = [wire for wire in self.wires if wire.client == client]
        return {_VARIABLES[wire.service]: _ADDRESSES.get(wire.service, "{}").format(wire.port) for wire in mine}

    def _write_recipe(self) -> None:
        """Kafka's recipe as it is, with one more listener for each client."""
        shutil.rmtree(self._recipe, ignore_errors=True)
        shutil.copytree(downloads.KAFKA_SCRIPT.parent, self._recipe)
        wires = [wire for wire in self.wires if wire.service == "kafka"]
        more = {
            "listeners": [f"{_listener(wire)}://127.0.0.1:{wire.target}" for wire in wires],
            "advertised.listeners": [f"{_listener(wire)}://127.0.0.1:{wire.port}" for wire in wires],
            "listener.security.protocol.map": [f"{_listener(wire)}:PLAINTEXT" for wire in wires],
        }
        path = self._recipe / "server.properties.in"
        lines = []
        for line in path.read_text(encoding="utf-8").splitlines():
            name, is_set, value = line.partition("=")
            lines.append(f"{name}{is_set}{','.join([value, *more.pop(name, [])])}" if is_set else line)
        assert not more, f"Kafka's recipe does not set {', '.join(more)}"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _listener(wire: Wire) -> str:
    return wire.client.replace("-", "_").upper()
