"""The whole system under the harness's hand: every program a process of its own, a proxy on every link, fresh data."""

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from deploy.native import leftovers
from deploy.native.ports import answers, describe_listener, is_free
from deploy.native.programs import Program
from deploy.native.stack import ROOT, Stack
from deploy.native.variables import documented_names, is_ours
from tests.chaos.data import Data, fetch_services
from tests.chaos.keeper import Keeper, wait_for
from tests.chaos.progress import Progress
from tests.chaos.proxy import Proxies
from tests.chaos.wiring import Wiring

PAIRS = ("BTC-USD", "BTC-EUR", "ETH-USD", "ETH-EUR", "SOL-USD", "ADA-USD", "XRP-USD", "SOL-EUR")
#: Market seconds per second: a minute's candle closes each second, as long as the market has not caught up.
SIM_SPEED = 60
#: How far back the market begins; at this speed enough for three minutes.
SIM_START = "-3h"
_ANSWER_SECONDS = 30.0


class Cluster:
    """A running system; made by `Clusters.start`.

    Attributes:
        keeper: The processes.
        proxies: The links.
        data: The services' folders.
        injected: What the harness did, by kind.
        restored: How often the store was replaced by an older copy.
        recreated: Whether a topic was deleted and made anew.
        redis_forgot_at: When Redis last lost what it held (Unix seconds), 0 if it never did.
        redis_is_older: Whether it came back with an older copy then.
        timed: How long something took that has a bound: what, seconds, the bound.
        progress: How far Kafka and the bridges are.
    """

    def __init__(self, stack: Stack, data: Data, keeper: Keeper, proxies: Proxies) -> None:
        self.stack, self.data, self.keeper, self.proxies = stack, data, keeper, proxies
        self.injected: Counter[str] = Counter()
        self.restored = 0
        self.recreated = self.redis_is_older = False
        self.redis_forgot_at = 0.0
        self.timed: list[tuple[str, float, float]] = []
        self.progress = Progress(self.kafka_brokers)
        self.original: dict[str, Program] = {}
        #: Programs beside the usual ones, and where they show their health.
        self._more_ports: dict[str, int] = {}

    # -- addresses, past every proxy ----------------------------------------------------------------------------------

    @property
    def kafka_brokers(self) -> str:
        """Kafka, for the harness alone."""
        return self.stack.addresses["KAFKA_BROKERS"]

    @property
    def redis_url(self) -> str:
        """Redis."""
        return self.stack.addresses["REDIS_URL"]

    @property
    def mongo_uri(self) -> str:
        """FerretDB."""
        return self.stack.addresses["MONGO_URI"]

    @property
    def rest_url(self) -> str:
        """The REST API."""
        return f"http://127.0.0.1:{self.stack.ports.of('rest')}"

    @property
    def ws_url(self) -> str:
        """The WebSocket server."""
        return f"ws://127.0.0.1:{self.stack.ports.of('ws')}"

    @property
    def sim_log(self) -> Path:
        """Every frame that the simulated exchange sent."""
        return Path(self.stack.variables["SIM_LOG"])

    @property
    def health_ports(self) -> dict[str, int]:
        """Program to the port that answers ``/metrics``."""
        return {
            name: self._more_ports.get(name) or self.original[name].ports[0]
            for name in self.keeper.names()
            if name not in {"kafka", "redis", "postgres", "ferretdb", "simulate"}
        }

    def pids(self) -> dict[str, int]:
        """Process id of each running program; some have children."""
        return self.keeper.pids()

    # -- what faults do -----------------------------------------------------------------------------------------------

    def start_another(self, name: str, of: str, health_port: int) -> None:
        """Start one more process of a program, with the same links."""
        self._more_ports[name] = health_port
        program = self.original[of]
        environment = {**program.environment, "HEALTH_PORT": str(health_port)}
        self.keeper.add(replace(program, name=name, environment=environment, ports=(health_port,)))

    def restart(self, name: str, number: int) -> None:
        """End a program by a signal and start it again."""
        self.keeper.hold_down(name, number)
        self.keeper.release(name)

    def run_as(self, name: str, command: tuple[str, ...]) -> None:
        """Let a program be started by another command from its next start on."""
        self.keeper.replace(replace(self.keeper.program(name), command=command))

    def run_as_usual(self, name: str) -> None:
        """Undo `run_as`."""
        self.keeper.replace(self.original[name])

    def redis_forgot(self, *, is_older: bool) -> None:
        """Note that Redis has just lost what it held, or went back to an older copy."""
        self.redis_forgot_at, self.redis_is_older = time.time(), is_older

    def took(self, what: str, seconds: float, bound: float) -> None:
        """Note how long something took that has a bound."""
        self.timed.append((what, seconds, bound))

    def answers(self, name: str) -> bool:
        """Whether a program listens on all its ports."""
        return all(answers(port) for port in self.keeper.program(name).ports)


class Clusters:
    """Starts one cluster after the other, in one folder and on one range of ports."""

    def __init__(self, run_dir: Path, port_offset: int, **variables: str) -> None:
        """``variables``: settings beside those that every run has."""
        settings = {
            "RUN_DIR": str(run_dir),
            "PORT_OFFSET": str(port_offset),
            "EXCHANGE": "sim",
            "PAIRS": ",".join(PAIRS),
            "SIM_SPEED": str(SIM_SPEED),
            "SIM_START": SIM_START,
            "SIM_LOG": str(run_dir / "sim.log"),
            "LOG_FORMAT": "json",
            "WORKERS": "2",
            # Else running candles would be the reason why it is not yet at rest.
            "ROLLUP_SECONDS": "1",
        }
        os.environ.pop("WORKERS", None)  # would outweigh the one above
        self.stack = Stack(run_dir, settings | variables)
        self._wiring = Wiring(self.stack)
        self._data = Data(self.stack)

    @contextmanager
    def prepared(self) -> Iterator[None]:
        """What all runs share; everything is gone afterwards but logs and results."""
        leftovers.end(self.stack)
        fetch_services(self.stack.setup_log)
        with self._data.templates():
            yield

    @contextmanager
    def start(self, commands: Mapping[str, tuple[str, ...]] = MappingProxyType({})) -> Iterator[Cluster]:
        """Start everything on fresh data; end everything and delete the data afterwards.

        Args:
            commands: Programs to start by another command than `make up` does.

        Raises:
            RuntimeError: If a port is taken.
            TimeoutError: If a program does not come up.
        """
        with ExitStack() as undo:
            undo.callback(self._data.remove)
            undo.callback(leftovers.end, self.stack)
            self._fresh()
            proxies = undo.enter_context(Proxies())
            for wire in self._wiring.wires:
                proxies.add(wire.name, wire.port, wire.target)
            keeper = Keeper(_environment(), self.stack.logs)
            undo.callback(keeper.stop)
            cluster = Cluster(self.stack, self._data, keeper, proxies)
            undo.callback(cluster.progress.stop)
            for program in self._wiring.programs(self._data.mongo):
                program = replace(program, command=commands.get(program.name, program.command))
                cluster.original[program.name] = program
                keeper.add(program)
            wait_for("every program listens", lambda: all(map(cluster.answers, cluster.original)), _ANSWER_SECONDS)
            yield cluster

    def _fresh(self) -> None:
        for log in self.stack.logs.glob("*.log"):
            log.unlink()
        for name in ("sim.log", "simulator.json"):
            (self.stack.run_dir / name).unlink(missing_ok=True)
        for port in self._wiring.ports():
            if not is_free(port):
                raise RuntimeError(f"port {port} is taken by {describe_listener(port)}")
        self._data.copy()


def _environment() -> dict[str, str]:
    """What every program inherits: nothing that a user set for a system of their own."""
    documented = documented_names(ROOT)
    return {
        name: value
        for name, value in os.environ.items()
        if not is_ours(name, documented) and not name.startswith(("MAKE", "MFLAGS"))
    }
