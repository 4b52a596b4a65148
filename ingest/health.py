"""``/livez`` and ``/metrics`` for processes without HTTP of their own, and the watchdog.

Alive means progress, not existence: the main loop reports each turn, and a process whose loop has not turned for
`STALL_SECONDS` ends itself, so that its supervisor starts it again.
"""

import faulthandler
import logging
import os
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, Counter, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

logger = logging.getLogger(__name__)

#: Without a turn of the main loop for this long, a process is wedged.
STALL_SECONDS = 30
#: Exit status of a process that its watchdog ended (EX_SOFTWARE of sysexits.h).
WEDGED_EXIT_STATUS = 70
#: Requests answered at once, each in a thread; who comes on top is hung up on.
MAX_REQUESTS = 16

#: Shown by those processes alone that serve here.
_refused_total = Counter(
    "health_refused_total", "Connections to the port of /livez and /metrics hung up on, being too many.", registry=None
)


class Progress:
    """Turns of a main loop, counted against the watchdog's own ticks.

    Ticks rather than time: a process that was frozen (SIGSTOP, a paused machine) and goes on would otherwise find
    itself overdue at the moment it wakes up.
    """

    def __init__(self, stall_ticks: int = STALL_SECONDS) -> None:
        self._stall_ticks = stall_ticks
        self._ticks_since_turn = 0

    def turned(self) -> None:
        """Say that the main loop made a turn; cheap enough for every turn."""
        self._ticks_since_turn = 0

    def tick(self) -> None:
        """Count one second of the watchdog."""
        self._ticks_since_turn += 1

    @property
    def stalled(self) -> bool:
        """Whether the main loop has made no turn for too long."""
        return self._ticks_since_turn >= self._stall_ticks


def start_watchdog(progress: Progress, *, end_with_parent: bool = False) -> threading.Thread:
    """Watch ``progress`` from a thread; end the process when it stalls.

    Args:
        progress: Told about each turn of the main loop.
        end_with_parent: End when the parent is gone, too; for the children of a program of several processes. A
            parent that was killed cannot pass a signal on: its children would live on beside those of the next start.
    """
    parent = os.getppid()

    def watch() -> None:
        pause = threading.Event()
        while not pause.wait(1.0):
            progress.tick()
            if progress.stalled:
                logger.critical("main loop made no progress, ending the process", extra={"seconds": STALL_SECONDS})
                faulthandler.dump_traceback()
                os._exit(WEDGED_EXIT_STATUS)
            if end_with_parent and os.getppid() != parent:
                logger.critical("parent process is gone, ending the process")
                os._exit(WEDGED_EXIT_STATUS)

    thread = threading.Thread(target=watch, name="watchdog", daemon=True)
    thread.start()
    return thread


def serve_health(host: str, port: int, progress: Progress, registry: CollectorRegistry) -> ThreadingWSGIServer:
    """Serve ``/livez`` (200 or 503) and ``/metrics`` from a daemon thread.

    Raises:
        OSError: If the address is taken or not ours.
    """
    server = make_server(host, port, _application(progress, registry), _BoundedServer, _QuietHandler)
    with suppress(ValueError):  # it is there already: some tests serve more than once
        registry.register(_refused_total)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server


class _BoundedServer(ThreadingWSGIServer):
    """Answers so many requests at once: a thread per connection, however many, would cost what a prober likes."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._free = threading.BoundedSemaphore(MAX_REQUESTS)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, or hang up."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
            return
        _refused_total.inc()
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, in the thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()


def _application(
    progress: Progress, registry: CollectorRegistry
) -> "Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]":
    metrics = make_wsgi_app(registry)

    def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ.get("PATH_INFO")
        if path == "/metrics":
            return cast("Iterable[bytes]", metrics(environ, start_response))
        status, body = {
            ("/livez", False): ("200 OK", b"ok\n"),
            ("/livez", True): ("503 Service Unavailable", b"main loop makes no progress\n"),
        }.get((str(path), progress.stalled), ("404 Not Found", b"try /livez or /metrics\n"))
        start_response(status, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))])
        return [body]

    return application


class _QuietHandler(WSGIRequestHandler):
    """Answers without a log line per request: probes come every few seconds."""

    timeout = 10  # seconds; a probe that never sends its request must not hold a thread

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""
