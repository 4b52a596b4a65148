"""One client's connection: its outbox on its socket, and signs of life.

websockets' own keepalive does not bound what a client costs: with a full buffer its ping waits outside its own
timeout, and closing politely waits for a reader that is gone. So both are done here: rows are written only while
the socket takes them, and a client without progress or without a sign of life is cut off.

Source: websockets 17, ``asyncio/connection.py`` (``keepalive``, ``drain``) and its topic guide "Broadcasting".
"""

import asyncio
import socket
from collections.abc import Callable, Hashable
from typing import Any, Final

from websockets.asyncio.server import Server, ServerConnection
from websockets.protocol import State
from websockets.server import ServerProtocol

from web import metrics
from web.ws.frames import PING, text_frame
from web.ws.outbox import Outbox
from web.ws.protocol import Session

#: Bytes in the transport's buffer at which writing stops, and at which it goes on. Rows that wait in the outbox
#: instead are replaced by newer ones, so this stays small.
WRITE_LIMITS: Final = (64 * 1024, 16 * 1024)
#: Frames that follow a write within this time (seconds) are joined into one: writing is what fan-out costs most. The
#: frame after a pause goes at once.
JOIN_SECONDS: Final = 0.005
#: Bytes that are not joined any further.
_JOINED_BYTES: Final = 32 * 1024
#: Bytes that the kernel takes beyond what is on its way. Its default, megabytes, would hold a slow client's candles
#: until they are old, out of reach of the outbox.
_KERNEL_UNSENT_BYTES: Final = 16 * 1024
#: A client that has said nothing for so long is asked, and has so long to answer (seconds). Together with the sweep
#: once a second and the grace for slow links, a frozen client is gone within fifteen.
PING_AFTER_SECONDS: Final = 4.0
PONG_SECONDS: Final = 7.0
_SLOW_LINK_GRACE_SECONDS: Final = 2.0
#: How long a client has to answer a close frame.
CLOSE_SECONDS: Final = 5.0


class Client(ServerConnection):
    """A client's connection.

    Args:
        protocol, server, options: As in websockets.
        made: Called when the TCP connection is there, before the handshake.
        lost: Called when the TCP connection is gone.
        max_waiting_rows: Rows that may wait.
        max_buffer_bytes: Bytes in the transport's buffer that only a client can cause that asks for pongs without
            reading them.
        max_stall_seconds: How long a client may take nothing of what waits for it.
    """

    def __init__(
        self,
        protocol: ServerProtocol,
        server: Server,
        *,
        made: Callable[["Client"], None],
        lost: Callable[["Client"], None],
        max_waiting_rows: int,
        max_buffer_bytes: int,
        max_stall_seconds: float,
        **options: Any,
    ) -> None:
        super().__init__(protocol, server, **options)
        self._made, self._lost = made, lost
        self._max_buffer_bytes, self._max_stall_seconds = max_buffer_bytes, max_stall_seconds
        self._outbox = Outbox(max_waiting_rows)
        # Frames on their way into one write, and when that may be.
        self._joined: list[bytes] = []
        self._joined_bytes = 0
        self._write_at = 0.0
        self._write_timer: asyncio.TimerHandle | None = None
        #: Set once the handshake is done.
        self.session: Session | None = None
        #: Under what the connection is counted; None before it is.
        self.address: str | None = None
        self.opened_at = self.loop.time()
        self.has_subscribed = False
        self._heard_at = self.opened_at
        self._pinged_at: float | None = None
        self._taken = self._written = 0
        self._progressed_at = self.opened_at

    # -- what it is owed --------------------------------------------------------------------------------------------

    def offer(self, owner: Hashable, timestamp: int, frame: bytes, /) -> None:
        """Owe the client a candle's frame for one of its subscriptions, and write what its socket takes."""
        if self.state is not State.OPEN:
            return
        if self._outbox.put_row((owner, timestamp), frame):
            metrics.ws_rows_replaced_total.inc()
        metrics.ws_rows_offered_total.inc()
        self._pump()

    def reply(self, text: bytes) -> None:
        """Owe the client an answer, and write what its socket takes."""
        self._outbox.put_reply(text_frame(text))
        self._pump()
        # Awaited, and rare.
        self._write_joined()

    @property
    def waiting(self) -> int:
        """Frames that are owed and not on their way yet."""
        return len(self._outbox)

    def forget(self, owner: Hashable) -> None:
        """Owe the client nothing of a subscription any more."""
        self._outbox.forget(owner)

    async def drained(self) -> None:
        """Return once the socket takes more, or the connection is gone."""
        while self.paused and self.state is State.OPEN:
            try:
                await self.drain()
            except ConnectionError:
                return

    def _pump(self) -> None:
        if self._outbox.overflowed:
            self.cut_off("overflow")
            return
        now = self.loop.time()
        while not self.paused and self.state is State.OPEN:
            frame = self._outbox.take()
            if frame is None:
                break
            self._joined.append(frame)
            self._joined_bytes += len(frame)
            if self._joined_bytes >= _JOINED_BYTES:
                self._write_joined()
        if self._joined and now >= self._write_at:
            self._write_joined()
        elif self._joined and self._write_timer is None:
            self._write_timer = self.loop.call_at(self._write_at, self._write_joined)

    def _write_joined(self) -> None:
        """Write what has been joined; whole frames go straight to the transport: the library would build new ones."""
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        # After a close frame nothing may follow.
        if self._joined and self.state is State.OPEN:
            data = b"".join(self._joined)
            self._written += len(data)
            self._write_at = self.loop.time() + JOIN_SECONDS
            self.transport.write(data)
        self._joined.clear()
        self._joined_bytes = 0

    # -- whether it lives -------------------------------------------------------------------------------------------

    def look_after(self, now: float) -> None:
        """Cut the client off if it makes no progress or gives no sign of life; ask it for one if it is quiet.

        Called about once a second; ``now`` is the loop's time.
        """
        waiting = self.transport.get_write_buffer_size()
        taken = self._written - waiting
        if taken > self._taken or not waiting:
            self._taken, self._progressed_at = taken, now
        if now - self._progressed_at >= self._max_stall_seconds:
            self.cut_off("stalled")
        elif self._pinged_at is not None:
            if self._heard_at >= self._pinged_at:
                self._pinged_at = None
            elif now - self._pinged_at >= PONG_SECONDS and not self._is_slowly_draining(waiting, now):
                self.cut_off("silent")
        elif now - self._heard_at >= PING_AFTER_SECONDS and self.state is State.OPEN:
            self._pinged_at = now
            self._written += len(PING)
            self.transport.write(PING)

    def _is_slowly_draining(self, waiting: int, now: float) -> bool:
        # Our ping is behind what waits; a link that still takes some of it is slow, not dead.
        return waiting > 0 and now - self._progressed_at < _SLOW_LINK_GRACE_SECONDS

    def cut_off(self, reason: str) -> None:
        """End the connection at once, without a word: nobody reads it."""
        if not self.transport.is_closing():
            metrics.ws_closed_total.labels(reason).inc()
        self._forget_everything()
        self.transport.abort()

    async def close_or_cut_off(self, code: int, reason: str) -> None:
        """Close politely; cut off whoever does not take it."""
        metrics.ws_closed_total.labels(str(code)).inc()
        self._write_joined()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.close(code, reason)
        except TimeoutError:
            self.transport.abort()

    def _forget_everything(self) -> None:
        self._outbox.clear()
        self._joined.clear()
        self._joined_bytes = 0
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    # -- the transport's callbacks ----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Set the socket up."""
        super().connection_made(transport)
        sock = transport.get_extra_info("socket")
        if sock is not None and hasattr(socket, "TCP_NOTSENT_LOWAT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _KERNEL_UNSENT_BYTES)
        self._made(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget everything."""
        super().connection_lost(exc)
        self._forget_everything()
        self._lost(self)

    def data_received(self, data: bytes) -> None:
        """Note the sign of life; the library answers pings by itself, however many."""
        self._heard_at = self.loop.time()
        super().data_received(data)
        if self.transport.get_write_buffer_size() > self._max_buffer_bytes:
            self.cut_off("overflow")

    def resume_writing(self) -> None:
        """Go on with what is owed."""
        super().resume_writing()
        self._pump()
