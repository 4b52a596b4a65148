"""gunicorn's thread worker, giving threads only to clients that have something to say.

The original hands each new connection to a thread, waits there five seconds for a first byte and without limit for
the rest of the request: sixteen sockets with half a request would hold all of sixteen threads, for ever. Here a
connection without data waits in the poller, and a client has a few seconds for its request, less if others wait for
its thread, and a minute for its answer, or for each part of one that is written while it is read, and less if it takes
next to nothing while others wait for its thread; then its socket is shut down, which ends the thread's wait. Where a
worker holds as many connections as it may, those that have been idle for longest make room.

Source: gunicorn 27.0.1, ``workers/gthread.py`` (``ThreadWorker.handle``, ``murder_pending``, ``TConn.wait_for_data``).
"""

import contextlib
import socket
import threading
import time
from functools import partial
from typing import Any, Final

from gunicorn.workers import gthread  # type: ignore[import-untyped]

from web.taking import Pace

#: For the first byte of a connection that was just made: it usually comes right behind.
FIRST_BYTE_SECONDS: Final = 0.02
#: For request line and headers, and the same when no thread is free.
REQUEST_SECONDS: Final = 3.0
CROWDED_REQUEST_SECONDS: Final = 0.5
#: For making the answer and for the client to take it.
ANSWER_SECONDS: Final = 60.0
#: For an answer of many parts, however steadily the client takes them.
LONG_ANSWER_SECONDS: Final = 600.0
#: Idle connections that go at once when there are too many.
MAKE_ROOM: Final = 100

_current = threading.local()


def part_taken() -> None:
    """Say that the client took a part of a long answer, so that the next one gets a minute of its own.

    Called by the code that makes the parts, in the thread that sends them; elsewhere it does nothing.
    """
    extend = getattr(_current, "extend", None)
    if extend is not None:
        extend()


class Worker(gthread.ThreadWorker):  # type: ignore[misc]
    """The worker class for gunicorn; what is overdue is looked for about once a second."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Connection → since when (monotonic seconds) its request is being read, or its answer made and sent.
        self._reading: dict[Any, float] = {}
        self._answering: dict[Any, float] = {}
        self._pace = Pace()
        self._lock = threading.Lock()

    def handle(self, conn: Any) -> Any:
        """Handle one request of a connection, in a thread of the pool."""
        if not conn.initialized and not conn.wait_for_data(FIRST_BYTE_SECONDS):
            return gthread._DEFER
        with self._lock:
            self._reading[conn] = time.monotonic()
        try:
            return super().handle(conn)
        finally:
            with self._lock:
                self._reading.pop(conn, None)
                self._answering.pop(conn, None)

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Answer a request whose headers have been read."""
        with self._lock:
            self._answering[conn] = self._reading.pop(conn)
        _current.extend = partial(self._extend, conn, time.monotonic() + LONG_ANSWER_SECONDS)
        try:
            return super().handle_request(req, conn)
        finally:
            del _current.extend

    def _extend(self, conn: Any, until: float) -> None:
        with self._lock:
            now = time.monotonic()
            if conn in self._answering and now < until:
                self._answering[conn] = now

    def notify(self) -> None:
        """Tell the master that the main loop turns, and end what is overdue."""
        super().notify()
        now = time.monotonic()
        with self._lock:
            for conn in self._overdue(now):
                # The thread's read or write fails then; the connection is gone already where this fails.
                with contextlib.suppress(OSError):
                    conn.sock.shutdown(socket.SHUT_RDWR)
        self._make_room()

    def _overdue(self, now: float) -> list[Any]:
        crowded = len(self._reading) + len(self._answering) >= self.cfg.threads
        request_seconds = CROWDED_REQUEST_SECONDS if crowded else REQUEST_SECONDS
        overdue = [conn for conn, since in self._reading.items() if now - since > request_seconds]
        overdue += [conn for conn, since in self._answering.items() if now - since > ANSWER_SECONDS]
        sending = {conn.sock: conn for conn in self._answering} if crowded else {}
        return overdue + [sending[sock] for sock in self._pace.too_slow(list(sending), now)]

    def _make_room(self) -> None:
        """Let the oldest idle connections go, if there are as many as there may be; first those that never asked."""
        if self.nr_conns < self.worker_connections:
            return
        idle, end = (
            (self.pending_conns, self.murder_pending)
            if self.pending_conns
            else (self.keepalived_conns, self.murder_keepalived)
        )
        for conn in [*idle][:MAKE_ROOM]:
            conn.timeout = 0.0
        end()
