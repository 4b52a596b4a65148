"""WebSocket clients as people have them: two that read at once and come back when they are cut off, and a slow one.

These follow minutes by the line protocol; a fourth one follows larger candles by the JSON protocol.
"""

import asyncio
import json
import random
import socket
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
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
#: What the fourth one follows. A pair that is watched is published at once, another a while later: both shall be seen.
LARGER_INTERVAL: Final = "5m"
#: How often it asks for what it is not told, which may not be stored yet (seconds).
_ASK_SECONDS: Final = 0.5
_OPEN_SECONDS: Final = 3.0
#: Before a new attempt (seconds).
_COME_BACK: Final = (0.1, 0.3)


class Clients(Tap):
    """Follows pairs of the default exchange."""

    def __init__(self, url: str, pairs: Sequence[str]) -> None:
        super().__init__()
        self._url, self._pairs = url, tuple(pairs)
        self.logs = [ClientLog(name, self._pairs) for name in CLIENTS]
        #: It begins with every second pair.
        self.larger = ClientLog("larger", self._pairs[::2], interval=LARGER_INTERVAL)
        #: The pairs that its connection was promised.
        self._promised: set[str] = set()

    def look(self) -> None:
        """Follow until the end."""
        asyncio.run(self._follow_all())

    def wait_quiet(self, seconds: float, at_most: float) -> None:
        """Wait until no client has got anything for so long from now on, but not for ever."""
        began = last = time.time()
        while time.time() - began < at_most and time.time() - last < seconds:
            last = max([began, *(log.frames[-1][0] for log in (*self.logs, self.larger) if log.frames)])
            time.sleep(0.05)

    def follow_all_larger(self) -> None:
        """Let larger candles of all pairs be followed from now on."""
        self.larger.pairs = self._pairs

    def wait_following(self, at_most: float) -> None:
        """Wait until larger candles of all pairs are followed, but not for ever."""
        began = time.monotonic()
        while not self._promised.issuperset(self._pairs) and time.monotonic() - began < at_most:
            time.sleep(0.05)

    async def _follow_all(self) -> None:
        readers = [partial(self._read, log=log, pause=CLIENTS[log.name]) for log in self.logs]
        tasks = [
            asyncio.create_task(self._follow(reader, slow=CLIENTS[log.name] > 0))
            for log, reader in zip(self.logs, readers, strict=True)
        ]
        tasks.append(asyncio.create_task(self._follow(self._read_larger, slow=False)))
        while not self.stopping and not any(task.done() for task in tasks):
            await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome

    async def _follow(self, read: Callable[[ClientConnection], Coroutine[None, None, None]], *, slow: bool) -> None:
        while True:
            try:
                async with await self._connect(slow=slow) as connection:
                    await read(connection)
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

    async def _read_larger(self, connection: ClientConnection) -> None:
        log, began, asked_at = self.larger, time.time(), float("-inf")
        self._promised = set()
        log.connected.append((began, began))
        try:
            while True:
                missing = sorted(set(log.pairs) - self._promised)
                if missing and time.monotonic() - asked_at >= _ASK_SECONDS:
                    asked_at = time.monotonic()
                    params = {"pairs": missing, "interval": log.interval, "snapshot": 2}
                    await connection.send(json.dumps({"id": 1, "method": "subscribe", "params": params}))
                try:
                    async with asyncio.timeout(_ASK_SECONDS):
                        message = parse_exact(await connection.recv())
                except TimeoutError:
                    continue
                if "result" in message:
                    self._promised.add(message["result"]["pair"])
                elif message.get("type") in ("candle", "snapshot"):
                    log.frames.append((time.time(), message))
        finally:
            self._promised = set()
            log.connected[-1] = (began, time.time())
