"""One connection of the simulated exchange: its session, and the tasks that move its frames.

A reader and a sender both make frames, and send them under one lock, because frames are numbered when they are made.
Sending waits for the client, so a slow one costs its socket's buffers and no more; one that takes nothing for
`SEND_TIMEOUT_SECONDS` is dropped.
"""

import asyncio
import contextlib
import logging
from typing import Final

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from ingest.clock import Clock, now_ms
from ingest.simulator.faults import Faults
from ingest.simulator.framelog import FrameLog
from ingest.simulator.session import Session

logger = logging.getLogger(__name__)

SEND_TIMEOUT_SECONDS: Final = 10.0

#: Frames made before a client's replies get their turn.
BATCH_FRAMES: Final = 200
#: Shortest sleep between two batches: a hurrying market sends hundreds of frames a second.
MIN_SLEEP_SECONDS: Final = 0.005
#: Longest sleep: the wall clock may be set meanwhile.
MAX_SLEEP_SECONDS: Final = 1.0


class Conversation:
    """One connection: its session, and the tasks that move its frames."""

    def __init__(
        self,
        socket: ServerConnection,
        session: Session,
        *,
        exchange: str,
        number: int,
        ping_seconds: float | None,
        faults: Faults,
        log: FrameLog,
        clock: Clock,
    ) -> None:
        """Prepare; `hold` does the talking.

        Args:
            socket: An open connection.
            session: What to say on it.
            exchange: Name of the dialect, for the log of frames.
            number: Number of the connection, for both logs.
            ping_seconds: How often to send a protocol ping; None: never.
            faults: What to do wrong.
            log: Where each frame is noted before it is sent.
            clock: The wall clock.
        """
        self._socket, self._session = socket, session
        self._exchange, self._number, self._ping_seconds = exchange, number, ping_seconds
        self._faults, self._log, self._clock = faults, log, clock
        self._sending = asyncio.Lock()
        self._changed = asyncio.Event()

    async def hold(self) -> None:
        """Talk until either side ends the connection."""
        opening = self._session.opening(now_ms(self._clock))
        # The sender first: its opening frames precede every reply.
        tasks = [asyncio.create_task(self._send_due(opening)), asyncio.create_task(self._read())]
        if self._ping_seconds is not None:
            tasks.append(asyncio.create_task(self._ping(self._ping_seconds)))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, TimeoutError):
                logger.warning("client takes no frames, dropping it", extra={"connection": self._number})
                self._socket.transport.abort()
            elif isinstance(outcome, Exception) and not isinstance(outcome, ConnectionClosed):
                raise outcome

    async def _read(self) -> None:
        async for message in self._socket:
            async with self._sending:
                await self._send(self._session.receive(message, now_ms(self._clock)))
            self._changed.set()

    async def _send_due(self, opening: list[str]) -> None:
        async with self._sending:
            await self._send(opening)
        while True:
            now = now_ms(self._clock)
            if self._session.expired(now):
                await self._socket.close(1000, "idle")
                return
            self._changed.clear()
            async with self._sending:
                await self._send(self._session.due(now, BATCH_FRAMES))
            await self._rest()

    async def _rest(self) -> None:
        """Sleep until something is due, or until the client's message changed what is."""
        due_ms = self._session.next_due_ms()
        delay = MAX_SLEEP_SECONDS if due_ms is None else (due_ms - now_ms(self._clock)) / 1000
        if delay <= MIN_SLEEP_SECONDS:
            await asyncio.sleep(MIN_SLEEP_SECONDS)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(delay, MAX_SLEEP_SECONDS)):
                await self._changed.wait()

    async def _send(self, frames: list[str]) -> None:
        if self._faults.silent:
            return
        async with asyncio.timeout(SEND_TIMEOUT_SECONDS):
            for frame in frames:
                self._log.note(now_ms(self._clock), self._number, self._exchange, frame)
                await self._socket.send(frame)

    async def _ping(self, every_seconds: float) -> None:
        while True:
            await asyncio.sleep(every_seconds)
            await self._socket.ping()
