"""A TCP proxy between two programs that can do to a link what networks do.

All links share one thread with one event loop. Bytes are never invented or reordered: a link passes them, keeps them
back, or ends the connection, which is what TCP lets a network do.
"""

import asyncio
import logging
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from types import TracebackType
from typing import Any, Self

logger = logging.getLogger(__name__)

_CHUNK_BYTES = 65_536
#: While a rate is limited, so that a chunk is not one long silence.
_SMALL_CHUNK_BYTES = 1_024
_CALL_SECONDS = 5.0


class Mode(Enum):
    """What a link does with connections and bytes."""

    PASS = "pass"
    CUT = "cut"  # connections are closed, new ones refused
    RESET = "reset"  # connections are reset (RST), new ones as soon as they are made
    BLACK_HOLE = "blackhole"  # everything is accepted, nothing arrives; later it does, as after retransmission
    DELAY = "delay"  # each chunk of bytes arrives later
    LIMIT = "limit"  # so many bytes per second, each way


@dataclass(eq=False)
class _Connection:
    near: asyncio.StreamWriter
    far: asyncio.StreamWriter | None = None
    #: Whether a request passed whose reply shall be swallowed.
    asked: bool = False

    def end(self, *, reset: bool) -> None:
        for writer in (self.near, self.far):
            if writer is None:
                continue
            if reset:
                raw = writer.get_extra_info("socket")
                with suppress(OSError):  # it is closed already
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


@dataclass(eq=False)
class Link:
    """One listening port and where it leads; changed through `Proxies` only."""

    name: str
    port: int
    target: int
    mode: Mode = Mode.PASS
    delay_seconds: float = 0.0
    bytes_per_second: float = 0.0
    #: How many replies are still to be swallowed, and which requests they answer.
    drops_left: int = 0
    dropped: int = 0
    drops_reply_to: Callable[[bytes], bool] = lambda _request: True
    flowing: asyncio.Event = field(default_factory=asyncio.Event)
    connections: set[_Connection] = field(default_factory=set)
    server: asyncio.Server | None = None

    async def listen(self) -> None:
        """Accept connections."""
        if self.server is None:
            self.server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, limit=_CHUNK_BYTES)

    async def change(self, mode: Mode) -> None:
        """Take on a mode, for the connections that there are and for new ones."""
        self.mode = mode
        if mode is Mode.BLACK_HOLE:
            self.flowing.clear()
        else:
            self.flowing.set()
        if mode is Mode.CUT and self.server is not None:
            self.server.close()
            self.server = None
        elif mode is not Mode.CUT:
            await self.listen()
        if mode in (Mode.CUT, Mode.RESET):
            for each in list(self.connections):
                each.end(reset=mode is Mode.RESET)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(writer)
        self.connections.add(connection)
        try:
            # A hole swallows the handshake as well: the other side must not answer through it.
            await self.flowing.wait()
            if self.mode is Mode.RESET:
                return connection.end(reset=True)
            far_reader, connection.far = await asyncio.open_connection("127.0.0.1", self.target, limit=_CHUNK_BYTES)
            there = asyncio.create_task(self._pump(reader, connection.far, connection, request=True))
            back = asyncio.create_task(self._pump(far_reader, writer, connection, request=False))
            await asyncio.wait([there, back], return_when=asyncio.FIRST_COMPLETED)
            for task in (there, back):
                task.cancel()
            await asyncio.gather(there, back, return_exceptions=True)
        except OSError:
            pass  # nobody listens there now: the client sees its connection closed
        finally:
            # Closed, not aborted: what one side sent last still has to reach the other.
            for each in (connection.near, connection.far):
                if each is not None:
                    each.close()
            self.connections.discard(connection)
        return None

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: _Connection, *, request: bool
    ) -> None:
        while data := await reader.read(_SMALL_CHUNK_BYTES if self.mode is Mode.LIMIT else _CHUNK_BYTES):
            await self._hold_back(len(data))
            if self.drops_left and request and self.drops_reply_to(data):
                connection.asked = True
            elif self.drops_left and connection.asked and not request:
                self.drops_left -= 1
                self.dropped += 1
                connection.end(reset=True)
                return
            writer.write(data)
            await writer.drain()

    async def _hold_back(self, count: int) -> None:
        if self.mode is Mode.DELAY:
            await asyncio.sleep(self.delay_seconds)
        elif self.mode is Mode.LIMIT:
            await asyncio.sleep(count / self.bytes_per_second)
        await self.flowing.wait()


class Proxies:
    """All links of a cluster; a context manager that holds their thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True)
        self._links: dict[str, Link] = {}

    def add(self, name: str, port: int, target: int) -> Link:
        """Open a link from a port of this machine to another, both on 127.0.0.1.

        Raises:
            OSError: If the port is taken.
        """
        link = self._links[name] = Link(name, port, target)
        link.flowing.set()
        self._call(link.listen())
        return link

    def link(self, name: str) -> Link:
        """A link, to look at."""
        return self._links[name]

    def set(self, name: str, mode: Mode, *, delay_seconds: float = 0.0, bytes_per_second: float = 0.0) -> None:
        """Let a link take on a mode."""
        link = self._links[name]
        link.delay_seconds, link.bytes_per_second = delay_seconds, bytes_per_second
        self._call(link.change(mode))

    def drop_replies(self, name: str, count: int, to: Callable[[bytes], bool] = lambda _request: True) -> None:
        """Swallow the replies to the next ``count`` requests for which ``to`` holds, resetting the connection."""
        link = self._links[name]

        async def arm() -> None:
            link.drops_left, link.drops_reply_to = count, to
            for each in link.connections:
                each.asked = False

        self._call(arm())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CALL_SECONDS)
        self._loop.close()

    async def _close(self) -> None:
        for link in self._links.values():
            await link.change(Mode.CUT)
            link.flowing.set()
        mine = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not mine]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _call(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_CALL_SECONDS)
