"""The simulated exchange on a real WebSocket server: all dialects on one port, told apart by their path.

Plain requests are answered too: ``GET /livez``, and the refusals of an exchange that wants a certain ``Origin``.
"""

import asyncio
import contextlib
import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import count
from types import MappingProxyType, TracebackType
from typing import Final, Self

from prometheus_client import generate_latest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from ingest.clock import Clock, SystemClock
from ingest.errors import SettingsError
from ingest.health import Progress
from ingest.settings import Settings
from ingest.simulator import blockchain, kraken
from ingest.simulator.blockchain import BlockchainSession
from ingest.simulator.conversation import Conversation
from ingest.simulator.faults import Faults
from ingest.simulator.framelog import FileLog, FrameLog, NoLog
from ingest.simulator.kraken import KrakenSession
from ingest.simulator.session import Market, Session
from ingest.simulator.state import MarketTime

logger = logging.getLogger(__name__)

#: The library's own lines: every connection and every probe of ``/livez`` would make some.
_socket_logger: Final = logging.getLogger(f"{__name__}.sockets")
_socket_logger.setLevel(logging.WARNING)
# Whoever waits for the port by connecting and hanging up is no error.
_socket_logger.addFilter(lambda record: record.msg != "opening handshake failed")

#: Longest wait for a client's part of the closing handshake: the process must be gone soon after SIGTERM.
CLOSE_TIMEOUT_SECONDS: Final = 1.0
#: After this, clients that would not even take the closing frame are cut.
STOP_TIMEOUT_SECONDS: Final = 2.0
MAX_MESSAGE_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Dialect:
    """An exchange's protocol: where it is served, and how a connection to it behaves."""

    path: str
    session: Callable[[Market], Session]
    #: Body of the HTTP 400 that these ``Origin`` headers earn.
    refuse_upgrade: Callable[[list[str]], str | None] = lambda _origins: None
    #: Protocol pings that the server sends; None: none.
    ping_seconds: float | None = None


DIALECTS: Final[Mapping[str, Dialect]] = MappingProxyType(
    {
        "blockchain": Dialect(
            blockchain.PATH, BlockchainSession, blockchain.refuse_upgrade, ping_seconds=blockchain.PING_SECONDS
        ),
        "kraken": Dialect(kraken.PATH, KrakenSession),
    }
)


async def simulate(
    settings: Settings,
    *,
    dialects: Sequence[str] = tuple(DIALECTS),
    stopping: asyncio.Event,
    progress: Progress | None = None,
) -> None:
    """Serve the simulated exchange at ``SIM_HOST:SIM_PORT`` until ``stopping`` is set.

    Args:
        settings: Address, market, log and state file.
        dialects: Names from `DIALECTS`.
        stopping: Ends the serving: clients get close code 1001.
        progress: Told each second that the event loop turns.

    Raises:
        SettingsError: If a dialect does not exist, or the address cannot be bound.
    """
    async with Simulator(settings, dialects=dialects):
        while not stopping.is_set():
            if progress is not None:
                progress.turned()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), 1.0)


class Simulator:
    """A running simulated exchange; an asynchronous context manager.

    Tests hand in ``port=0`` and read `port`, and switch `faults` on and off.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        port: int | None = None,
        dialects: Sequence[str] = tuple(DIALECTS),
        faults: Faults | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Prepare; nothing is opened yet.

        Raises:
            SettingsError: If a dialect does not exist.
        """
        unknown = [name for name in dialects if name not in DIALECTS]
        if unknown:
            raise SettingsError((f"dialects={unknown[0]!r}: expected some of {', '.join(DIALECTS)}",))
        self._settings = settings
        self._host, self._requested_port = settings.sim_host, settings.sim_port if port is None else port
        self._names = {DIALECTS[name].path: name for name in dialects}
        self._clock = clock or SystemClock()
        self.faults = faults or Faults()
        self._market = Market(settings.sim_seed, settings.sim_updates, MarketTime(settings), self.faults)
        # Microseconds at the start plus a count: no number comes twice, not even after a restart.
        self._connection_numbers = count(self._clock.now_us())
        self._log: FrameLog = NoLog()
        # Our own list: the server's forgets connections that are closing, and some never finish that.
        self._sockets: set[ServerConnection] = set()
        self._server: Server | None = None

    @property
    def port(self) -> int:
        """The port that is served."""
        assert self._server is not None, "the simulator is not running"
        return int(next(iter(self._server.sockets)).getsockname()[1])

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._sockets)

    def drop_connections(self) -> None:
        """Cut every TCP connection without a closing handshake."""
        for socket in tuple(self._sockets):
            socket.transport.abort()

    async def __aenter__(self) -> Self:
        """Bind and serve.

        Raises:
            SettingsError: If the address cannot be bound or the log not be written.
        """
        settings = self._settings
        try:
            if settings.sim_log is not None:
                self._log = FileLog(settings.sim_log)
        except OSError as error:
            raise SettingsError((f"SIM_LOG={str(settings.sim_log)!r}: {error.strerror}",)) from error
        try:
            settings.sim_state.parent.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=settings.sim_state.parent).close()
        except OSError as error:
            raise SettingsError((f"SIM_STATE={str(settings.sim_state)!r}: {error.strerror}",)) from error
        try:
            self._server = await serve(
                self._converse,
                self._host,
                self._requested_port,
                process_request=self._route,
                compression=None,
                ping_interval=None,
                close_timeout=CLOSE_TIMEOUT_SECONDS,
                max_size=MAX_MESSAGE_BYTES,
                server_header=None,
                logger=_socket_logger,
            )
        except OSError as error:
            self._log.close()
            address = f"{self._host}:{self._requested_port}"
            raise SettingsError((f"SIM_HOST:SIM_PORT={address!r}: cannot be served ({error.strerror})",)) from error
        logger.info("simulated exchange is there", extra={"host": self._host, "port": self.port})
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close every connection with code 1001 and stop serving."""
        assert self._server is not None
        self._server.close(code=1001, reason="the simulator stops")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._server.wait_closed(), STOP_TIMEOUT_SECONDS)
        self.drop_connections()
        await self._server.wait_closed()
        self._log.close()

    def _route(self, connection: ServerConnection, request: Request) -> Response | None:
        path = request.path.partition("?")[0]
        if path == "/livez":
            return connection.respond(HTTPStatus.OK, "ok\n")
        if path == "/metrics":
            return connection.respond(HTTPStatus.OK, generate_latest().decode())
        name = self._names.get(path)
        if name is None:
            return connection.respond(HTTPStatus.NOT_FOUND, f"try {', '.join(self._names)} /livez or /metrics\n")
        refusal = DIALECTS[name].refuse_upgrade(request.headers.get_all("Origin"))
        return None if refusal is None else connection.respond(HTTPStatus.BAD_REQUEST, refusal)

    async def _converse(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        name = self._names[socket.request.path.partition("?")[0]]
        number = next(self._connection_numbers)
        logger.info("client connected", extra={"exchange": name, "connection": number})
        self._sockets.add(socket)
        try:
            await Conversation(
                socket,
                DIALECTS[name].session(self._market),
                exchange=name,
                number=number,
                ping_seconds=DIALECTS[name].ping_seconds,
                faults=self.faults,
                log=self._log,
                clock=self._clock,
            ).hold()
        finally:
            self._sockets.discard(socket)
            logger.info("client is gone", extra={"exchange": name, "connection": number})
