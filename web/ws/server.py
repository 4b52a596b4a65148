"""The WebSocket server: sockets, limits, close codes with reasons."""

import asyncio
import contextlib
import functools
import logging
import random
from collections.abc import Sequence
from typing import Any, Final

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin

from ingest.health import Progress
from web import metrics
from web.catalogue import Catalogue
from web.settings import Settings
from web.ws.admission import Admission
from web.ws.channels import Channels
from web.ws.client import CLOSE_SECONDS, WRITE_LIMITS, Client
from web.ws.effects import Close, Effect, Open, Reply, Shut, Subscribe
from web.ws.history import History
from web.ws.messages import ShutdownMessage, encode
from web.ws.protocol import POLICY_VIOLATION, ProtocolLimits, Session
from web.ws.relay import Relay
from web.ws.status import LOOK_SECONDS
from workers.presence import Program

logger = logging.getLogger(__name__)

#: RFC 6455, section 7.4.1: an endpoint is going away.
GOING_AWAY = 1001
#: How long a client has for its handshake (seconds).
HANDSHAKE_SECONDS = 10.0
#: Connections that the kernel keeps until we take them; who finds no room tries again after a whole second.
BACKLOG = 1024
#: Frames of one client that wait to be handled; the socket is not read beyond.
MAX_WAITING_FRAMES = 4
#: When clients are asked to come back after a planned stop (milliseconds): all of them within a time that grows with
#: their number, so that whoever takes them sees at most about a thousand a second.
RECONNECT_FROM_MS: Final = 500
RECONNECT_SPREAD_MS: Final = (1_000, 15_000)
#: How often the stored series are read, and how long the first read may hold up the start (seconds).
CATALOGUE_SECONDS = 10.0
FIRST_CATALOGUE_SECONDS = 2.0


class WebSocketServer:
    """Everything of one process."""

    def __init__(self, settings: Settings, relay: Relay, history: History, progress: Progress) -> None:
        self._settings, self._relay, self._history, self._progress = settings, relay, history, progress
        self._catalogue = Catalogue(settings.configured)
        self._limits = ProtocolLimits(
            settings.ws_max_subscriptions,
            settings.ws_max_commands_per_second,
            settings.ws_max_burst,
            settings.ws_max_bad_frames,
        )
        self._admission = Admission(settings)
        self._channels = Channels(relay, history)
        self._closing: set[asyncio.Task[None]] = set()
        self._asked_store = asyncio.Event()
        #: Where it listens, once it does.
        self.port: int | None = None

    async def run(self, stop: asyncio.Event, *, reuse_port: bool = False) -> None:
        """Serve until ``stop`` is set, then close every connection.

        Raises:
            OSError: If the address is taken or not ours.
        """
        tasks = [
            asyncio.create_task(coroutine)
            for coroutine in (
                self._relay.run(),
                self._follow_catalogue(),
                self._sweep_always(),
                self._tell_statuses_always(),
                stop.wait(),
            )
        ]
        try:
            # A store that answers is worth a moment: its pairs are known from the first client on.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._asked_store.wait(), FIRST_CATALOGUE_SECONDS)
            server = await self._serve(reuse_port)
            self.port = server.sockets[0].getsockname()[1]
            logger.info("listening", extra={"host": self._settings.bind_host, "port": self.port})
            # Each runs as long as the server; one that ends has failed, and so has the server.
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            await self._close(server)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._history.close()

    def describe(self, program: Program) -> None:
        """Say how many clients are connected; safe from any thread."""
        program.clients = self._admission.connections

    async def _serve(self, reuse_port: bool) -> Server:
        origins: Sequence[Origin | None] | None = None
        if self._settings.ws_origins != ("*",):
            # Browsers always send an origin; programs need not.
            origins = [*map(Origin, self._settings.ws_origins), None]
        create_client: Any = functools.partial(
            Client,
            made=self._admission.client_made,
            lost=self._admission.client_lost,
            max_waiting_rows=self._settings.ws_max_waiting_rows,
            max_buffer_bytes=self._settings.ws_max_buffer_bytes,
            max_stall_seconds=self._settings.ws_max_stall_seconds,
        )
        return await serve(
            self._handle,
            self._settings.bind_host,
            self._settings.ws_port,
            origins=origins,
            process_request=self._admission.process_request,
            create_connection=create_client,
            # 14 KiB per connection rather than 64, and one frame for all.
            compression=None,
            server_header=None,
            open_timeout=HANDSHAKE_SECONDS,
            # Signs of life are `Client.look_after`'s.
            ping_interval=None,
            close_timeout=CLOSE_SECONDS,
            max_size=self._settings.ws_max_frame_bytes,
            max_queue=MAX_WAITING_FRAMES,
            write_limit=WRITE_LIMITS,
            reuse_port=reuse_port or None,
            backlog=BACKLOG,
        )

    async def _close(self, server: Server) -> None:
        """Tell all clients that we go, and cut off who has not gone within five seconds."""
        logger.info("stopping", extra={"connections": self._admission.connections})
        self._announce_stop()
        server.close(code=GOING_AWAY, reason="the server is stopping")
        closed = asyncio.create_task(server.wait_closed())
        await asyncio.wait([closed], timeout=CLOSE_SECONDS)
        for client in tuple(self._admission.clients):
            client.cut_off("stopping")
        await asyncio.wait([closed], timeout=1.0)
        closed.cancel()

    def _announce_stop(self) -> None:
        least, most = RECONNECT_SPREAD_MS
        spread = min(max(self._admission.connections, least), most)
        for client in tuple(self._admission.clients):
            # Clients of lines alone would not know what it is.
            if client.session is not None and client.session.speaks_json:
                after_ms = RECONNECT_FROM_MS + random.randrange(spread)
                client.reply(encode(ShutdownMessage(reconnect_after_ms=after_ms)))

    # -- one connection ---------------------------------------------------------------------------------------------

    async def _handle(self, connection: ServerConnection) -> None:
        assert isinstance(connection, Client)
        client, now = connection, asyncio.get_running_loop().time
        metrics.ws_opened_total.inc()
        client.session = Session(lambda: self._catalogue, self._limits, now())
        client.opened_at = now()
        try:
            async for frame in client:
                close = await self._apply(client, client.session.receive(frame, now()))
                if close is not None:
                    await client.close_or_cut_off(close.code, close.reason)
                    return
        except ConnectionClosed:
            pass
        finally:
            for series in client.session.wanted.lines:
                self._relay.unsubscribe(series, client)
            self._channels.leave(client)

    async def _apply(self, client: Client, effects: list[Effect]) -> Close | None:
        """Do what a frame asks for; returns the close that it ends in, if it does."""
        assert client.session is not None
        metrics.ws_commands_total.labels(
            "refused" if any(isinstance(each, Reply) for each in effects) else "done"
        ).inc()
        for effect in effects:
            if isinstance(effect, Reply):
                client.reply(effect.text)
            elif isinstance(effect, Subscribe):
                client.has_subscribed = True
                self._relay.subscribe(effect.series, client)
            elif isinstance(effect, Open):
                client.has_subscribed = True
                await self._channels.open(client, effect)
            elif isinstance(effect, Shut):
                self._channels.shut(client, effect.series)
            elif isinstance(effect, Close):
                return effect
            else:
                self._relay.unsubscribe(effect.series, client)
                client.forget(effect.series)
        return None

    # -- all connections --------------------------------------------------------------------------------------------

    async def _sweep_always(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(1.0)
            self._progress.turned()
            subscriptions = waiting = 0
            for client in tuple(self._admission.clients):
                if client.session is not None:
                    self._sweep(client, loop.time())
                    subscriptions += len(client.session.wanted)
                    waiting += client.waiting
            metrics.ws_subscriptions.set(subscriptions)
            metrics.ws_rows_waiting.set(waiting)

    def _sweep(self, client: Client, now: float) -> None:
        client.look_after(now)
        most = self._settings.ws_max_idle_seconds
        if not client.has_subscribed and now - client.opened_at >= most:
            client.has_subscribed = True  # said once
            task = asyncio.create_task(
                client.close_or_cut_off(POLICY_VIOLATION, f"no subscription within {most:g} seconds")
            )
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def _tell_statuses_always(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self._channels.tell_statuses()

    async def _follow_catalogue(self) -> None:
        while True:
            stored = await self._history.series()
            if stored is not None:
                self._catalogue = self._catalogue.with_stored(stored)
            self._asked_store.set()
            await asyncio.sleep(CATALOGUE_SECONDS)
