"""The socket loop of one exchange: connect, subscribe, read, reconnect.

Runs until it is cancelled, whatever the exchange does. What is done with each frame is `ingest.intake`.

The silence of a connection is measured on frames, not on the pings of the WebSocket protocol: an exchange whose data
side is stuck goes on answering those. It is counted in ticks of our own loop, so a process that was frozen does not
take its own absence for the exchange's.
"""

import asyncio
import contextlib
import ipaddress
import logging
from typing import Final, Literal
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.typing import Origin

from ingest import metrics
from ingest.backoff import Backoff
from ingest.exchanges.base import KeepAlive
from ingest.health import Progress
from ingest.intake import Intake

logger = logging.getLogger(__name__)

#: Larger frames end the connection; the largest known ones, Kraken's snapshots, have a few KiB per pair.
MAX_FRAME_BYTES: Final = 1024 * 1024
OPEN_TIMEOUT_SECONDS: Final = 10.0
CLOSE_TIMEOUT_SECONDS: Final = 1.0
TICK_SECONDS: Final = 0.25

#: So many opening frames go out at once, the rest paced below Blockchain.com's limit of 1,200 a minute.
OPENING_BURST: Final = 50
OPENING_PACE_SECONDS: Final = 0.06
#: How often pairs without an answer, or with a refusal that may pass, are asked for again.
ASK_AGAIN_SECONDS: Final = 60.0

Reason = Literal["closed", "error", "missed_frames", "refused", "silence", "unreachable"]


class Feed:
    """Follows one exchange.

    Args:
        intake: What is done with its frames.
        backoff: Delays between attempts.
        progress: Told about each tick, for the watchdog.
    """

    def __init__(self, intake: Intake, *, backoff: Backoff | None = None, progress: Progress | None = None) -> None:
        self._intake = intake
        self._backoff = backoff or Backoff()
        self._progress = progress or Progress()
        self._socket: ClientConnection | None = None
        self._silenced = False
        self._last_failure = ""

    async def run(self) -> None:
        """Follow the exchange until cancelled."""
        ticking = asyncio.create_task(self._tick(), name=f"tick {self._intake.exchange}")
        try:
            while True:
                await self._connect()
                await asyncio.sleep(self._backoff.next_delay_seconds())
        finally:
            ticking.cancel()

    async def _connect(self) -> None:
        """Make one connection and follow it to its end."""
        adapter = self._intake.adapter
        try:
            self._socket = await connect(
                adapter.url,
                origin=Origin(adapter.origin) if adapter.origin is not None else None,
                max_size=MAX_FRAME_BYTES,
                compression=None,
                open_timeout=OPEN_TIMEOUT_SECONDS,
                close_timeout=CLOSE_TIMEOUT_SECONDS,
                # Silence is measured on frames, and some exchanges want no pings.
                ping_interval=None,
                proxy=None if _is_local(adapter.url) else True,
            )
        except InvalidStatus as error:
            body = (error.response.body or b"")[:200].decode(errors="replace")
            self._failed("refused", f"HTTP {error.response.status_code}: {body}".rstrip(": "))
        except (OSError, TimeoutError) as error:
            self._failed("unreachable", str(error) or type(error).__name__)
        except WebSocketException as error:
            self._failed("error", str(error))
        else:
            self._last_failure = ""
            await self._follow(self._socket)

    async def _follow(self, socket: ClientConnection) -> None:
        """Read a connection until it ends, and say why it did."""
        self._silenced = False
        writing = asyncio.create_task(self._write(socket, self._intake.began()))
        kind: Reason | None = None
        reason = "stopped"
        try:
            kind, reason = await self._read(socket)
        finally:
            writing.cancel()
            self._socket = None
            if kind is not None:
                metrics.feed_reconnects_total.labels(self._intake.exchange, kind).inc()
            self._intake.ended(reason)
            # After `ended`: closing politely waits for the exchange.
            try:
                # Not `await writing`: its cancellation could not be told from ours, which must end us.
                await asyncio.wait([writing])
            finally:
                await socket.close()
            with contextlib.suppress(asyncio.CancelledError, ConnectionClosed):
                writing.result()

    async def _read(self, socket: ClientConnection) -> tuple[Reason, str]:
        try:
            async for frame in socket:
                missed = self._intake.receive(frame)
                if missed is not None:
                    return "missed_frames", f"frame {missed.expected} expected, {missed.received} received"
                if self._intake.had_data:
                    self._backoff.reset()
        except ConnectionClosed as error:
            if not self._silenced:
                return "closed", str(error)
        if self._silenced:
            return "silence", f"no frame for {self._intake.adapter.silence_seconds:g} s"
        return "closed", f"closed by the exchange: {socket.close_code} {socket.close_reason}".rstrip()

    async def _write(self, socket: ClientConnection, opening: list[str]) -> None:
        """Send the opening frames; then keep the connection alive and ask again for what got no answer."""
        with contextlib.suppress(ConnectionClosed):  # the reader sees it too
            await _send_paced(socket, opening)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._ask_again(socket))
                if self._intake.adapter.keepalive is not None:
                    tasks.create_task(_keep_alive(socket, self._intake.adapter.keepalive))

    async def _ask_again(self, socket: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await asyncio.sleep(ASK_AGAIN_SECONDS)
                await _send_paced(socket, self._intake.ask_again())

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._progress.turned()
            self._intake.tick(TICK_SECONDS)
            if self._socket is not None and self._intake.silent_seconds >= self._intake.adapter.silence_seconds:
                # Not closed politely: an exchange that says nothing would not answer that either.
                self._silenced = True
                self._socket.transport.abort()

    def _failed(self, kind: Reason, reason: str) -> None:
        metrics.feed_reconnects_total.labels(self._intake.exchange, kind).inc()
        if reason != self._last_failure:
            # Once per reason, not once per attempt.
            self._last_failure = reason
            logger.warning(
                "cannot connect, trying on",
                extra={"exchange": self._intake.exchange, "url": self._intake.adapter.url, "reason": reason},
            )


async def _send_paced(socket: ClientConnection, frames: list[str]) -> None:
    for number, frame in enumerate(frames):
        if number >= OPENING_BURST:
            await asyncio.sleep(OPENING_PACE_SECONDS)
        await socket.send(frame)


async def _keep_alive(socket: ClientConnection, keepalive: KeepAlive) -> None:
    with contextlib.suppress(ConnectionClosed):
        while True:
            await asyncio.sleep(keepalive.every_seconds)
            await socket.send(keepalive.text)


def _is_local(url: str) -> bool:
    """Whether a proxy would only be in the way."""
    host = urlsplit(url).hostname or ""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
