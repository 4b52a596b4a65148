"""Who may connect: counts of connections, answers to what is no WebSocket."""

from http import HTTPStatus
from typing import Final

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from web import metrics
from web.addresses import ClientAddresses, is_loopback, whose
from web.settings import Settings
from web.ws.client import Client
from web.ws.limits import ConnectionCounts

#: Sockets in their handshake, beside the connections that are counted.
HANDSHAKE_ROOM: Final = 1000
#: When to come back after being refused (seconds).
RETRY_AFTER_SECONDS: Final = 10


class Admission:
    """Every connection of this process."""

    def __init__(self, settings: Settings) -> None:
        self._most = settings.ws_max_connections
        self._addresses = ClientAddresses(settings.trusted_proxies)
        self._counts = ConnectionCounts(settings.ws_max_connections, settings.ws_max_connections_per_address)
        #: Every TCP connection, also those in their handshake.
        self.clients: set[Client] = set()
        # Of these, who has not been let in yet, the oldest first.
        self._waiting: dict[Client, None] = {}

    @property
    def connections(self) -> int:
        """How many WebSocket connections there are."""
        return self._counts.total

    def client_made(self, client: Client) -> None:
        """Take note of a TCP connection; if too many are in their handshake, the one that takes longest has to go.

        A handshake takes a client that means it a moment, so a flood of those that say nothing does not keep it out.
        """
        self.clients.add(client)
        self._waiting[client] = None
        if len(self._waiting) > HANDSHAKE_ROOM:
            oldest = next(iter(self._waiting))
            del self._waiting[oldest]
            metrics.ws_refused_total.labels("too many handshakes").inc()
            oldest.transport.abort()

    def client_lost(self, client: Client) -> None:
        """Take note of a TCP connection's end."""
        self.clients.discard(client)
        self._waiting.pop(client, None)
        if client.address is not None:
            self._counts.remove(client.address)
            metrics.ws_connections.set(self._counts.total)

    def process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        """The answer to a request that is no upgrade, or to one that is refused; None to go on with the upgrade."""
        path = request.path.partition("?")[0]
        if path == "/livez":
            return connection.respond(HTTPStatus.OK, "ok\n")
        if path == "/metrics":
            return connection.respond(HTTPStatus.OK, metrics.exposition().decode())
        if "websocket" not in ",".join(request.headers.get_all("Upgrade")).lower():
            # The library's own answer: 426 with what is expected.
            return None
        assert isinstance(connection, Client)
        return self._count(connection, request)

    def _count(self, client: Client, request: Request) -> Response | None:
        peer = (client.remote_address or ("unknown",))[0]
        address = self._addresses.of(peer, ",".join(request.headers.get_all("X-Forwarded-For")) or None)
        counted = whose(address)
        reason = self._counts.refusal(counted, exempt=is_loopback(address))
        if reason is None:
            self._waiting.pop(client, None)
            client.address = counted
            self._counts.add(counted)
            metrics.ws_connections.set(self._counts.total)
            return None
        metrics.ws_refused_total.labels(reason).inc()
        is_full = self._counts.total >= self._most
        status = HTTPStatus.SERVICE_UNAVAILABLE if is_full else HTTPStatus.TOO_MANY_REQUESTS
        response = client.respond(status, f"{reason}\n")
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return response
