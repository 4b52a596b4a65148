"""WebSocket clients as people have them: two that read at once and come back when they are cut off, and a slow one."""

import asyncio
import random
import socket
import time
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from tests.chaos.evidence import ClientLog
from tests.chaos.taps.tap import Tap
from tests.chaos.versions import parse_exact

#: Name to the pause after each frame (seconds). The slow one is behind for most of a run, and yet fast enough to read
#: what lies before a ping within the time that the server gives it.
CLIENTS: Final = {"steady-1": 0.0, "steady-2": 0.0, "slow": 0.02}
#: What the kernel takes for the slow one (bytes), so that its slowness reaches the server.
_SMALL_BUFFER: Final = 4096
_OPEN_SECONDS: Final = 3.0
#: Before a new attempt (seconds).
_COME_BACK: Final = (0.1, 0.3)


class Clients(Tap):
    """Follows pairs of the default exchange."""

    def __init__(self, url: str, pairs: Sequence[str]) -> None:
        super().__init__()
        self._url, self._pairs = url, tuple(pairs)
        self.logs = [ClientLog(name, self._pairs) for name in CLIENTS]

    def look(self) -> None:
        """Follow until the end."""
        asyncio.run(self._follow_all())

    def wait_quiet(self, seconds: float, at_most: float) -> None:
        """Wait until no client has got anything for so long from now on, but not for ever."""
        began = last = time.time()
        while time.time() - began < at_most and time.time() - last < seconds:
            last = max([began, *(log.frames[-1][0] for log in self.logs if log.frames)])
            time.sleep(0.05)

    async def _follow_all(self) -> None:
        tasks = [asyncio.create_task(self._follow(log, CLIENTS[log.name])) for log in self.logs]
        while not self.stopping and not any(task.done() for task in tasks):
            await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome

    async def _follow(self, log: ClientLog, pause: float) -> None:
        while True:
            try:
                async with await self._connect(slow=pause > 0) as connection:
                    await self._read(connection, log, pause)
            except (OSError, TimeoutError, WebSocketException):
                pass  # the server is away, or has let us go
            await asyncio.sleep(random.uniform(*_COME_BACK))

    async def _connect(self, *, slow: bool) -> ClientConnection:
        address = urlsplit(self._url)
        sock = socket.socket()
        try:
            if slow:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER)
            sock.setblocking(False)
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(_OPEN_SECONDS):
                await loop.sock_connect(sock, (address.hostname, address.port))
            return await connect(
                self._url, sock=sock, compression=None, open_timeout=_OPEN_SECONDS, close_timeout=1.0, max_queue=4,
                # The server asks for signs of life; a frozen one shall be waited for.
                ping_interval=None, proxy=None,
            )  # fmt: skip
        except BaseException:
            sock.close()
            raise

    async def _read(self, connection: ClientConnection, log: ClientLog, pause: float) -> None:
        await connection.send("\n".join(f"subscribe,{pair}" for pair in self._pairs))
        began = time.time()
        log.connected.append((began, began))
        try:
            async for frame in connection:
                log.frames.append((time.time(), parse_exact(frame)))
                if pause:
                    await asyncio.sleep(pause)
        finally:
            log.connected[-1] = (began, time.time())
