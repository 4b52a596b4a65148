"""A WebSocket client that costs next to nothing: a thousand of them share two cores with what they measure.

Text frames without extensions, whole, from a server that is ours; what else it might send ends the benchmark. Nothing
here is meant for anybody but a benchmark.
"""

import asyncio
import base64
import os
import time
from typing import Final, cast

_TEXT, _CLOSE, _PING, _PONG = 0x81, 0x88, 0x89, 0x8A
#: A mask of zeros changes nothing, and is one.
_MASKED: Final = 0x80
_MASK: Final = bytes(4)
_OPEN_SECONDS: Final = 10.0


def client_frame(opcode: int, payload: bytes) -> bytes:
    """A whole, masked frame of at most 64 KiB."""
    size = len(payload)
    length = bytes([_MASKED | size]) if size < 126 else bytes([_MASKED | 126]) + size.to_bytes(2, "big")
    return bytes([opcode]) + length + _MASK + payload


class Wire(asyncio.Protocol):
    """One connection; a subclass says what becomes of the texts."""

    def __init__(self) -> None:
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        #: Whether it ended, and whether that was our own wish.
        self.is_over = self.is_leaving = False

    def take(self, text: bytes, now: float) -> None:
        """Take a text frame's payload that was there at ``now`` (Unix seconds)."""
        raise NotImplementedError

    def lost(self) -> None:
        """Called when the server ended the connection."""

    async def connect(self, host: str, port: int) -> None:
        """Connect and finish the handshake.

        Raises:
            OSError: If that is refused, or not done within ten seconds.
        """
        async with asyncio.timeout(_OPEN_SECONDS):
            await asyncio.get_running_loop().create_connection(lambda: self, host, port)
            key = base64.b64encode(os.urandom(16)).decode()
            self._write(
                f"GET / HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
            )
            await self._opened

    def send(self, text: bytes) -> None:
        """Send a text frame."""
        self._write(client_frame(_TEXT, text))

    def leave(self, *, politely: bool) -> None:
        """End the connection: with a close frame, or by a reset as if the client had died."""
        self.is_leaving = True
        if self._transport is None or self.is_over:
            return
        if politely:
            # Normal closure; the server answers and ends the connection.
            self._write(client_frame(_CLOSE, b"\x03\xe8"))
        else:
            self._transport.abort()

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    # -- the transport's callbacks ----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # Not an instance of it: uvloop has its own.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits."""
        self.is_over = True
        if not self._opened.done():
            self._opened.set_exception(ConnectionError(f"no handshake: {exc or 'the server hung up'}"))
        elif not self.is_leaving:
            self.lost()

    def data_received(self, data: bytes) -> None:
        """Take whole frames, keep the rest."""
        now = time.time()
        if self._rest:
            data = self._rest + data
        at, end = 0 if self._opened.done() else self._shake_hands(data), len(data)
        while end - at >= 2:
            size, start = data[at + 1], at + 2
            if size >= 126:
                start += 2 if size == 126 else 8
                # Of a length that is not there yet this makes a shorter one, and `start` alone is beyond the end.
                size = int.from_bytes(data[at + 2 : start], "big")
            if start + size > end:
                break
            if data[at] == _TEXT:
                self.take(data[start : start + size], now)
            else:
                self._control(data[at], data[start : start + size])
            at = start + size
        self._rest = data[at:]

    def _shake_hands(self, data: bytes) -> int:
        """Where the first frame begins. The server sends the head of its answer in one piece."""
        head, blank, _ = data.partition(b"\r\n\r\n")
        if blank and head.startswith(b"HTTP/1.1 101 "):
            self._opened.set_result(None)
            return len(head) + len(blank)
        self._opened.set_exception(ConnectionError(f"no upgrade: {data[:100]!r}"))
        return len(data)

    def _control(self, opcode: int, payload: bytes) -> None:
        if opcode == _PING:
            self._write(client_frame(_PONG, payload))
        elif opcode == _CLOSE and not self.is_leaving:
            self._write(client_frame(_CLOSE, payload))
        elif opcode not in (_CLOSE, _PONG):
            raise ValueError(f"a frame of {opcode:#x}, expected a whole text")
