"""``python -m web.ws``: the WebSocket server."""

import argparse
import asyncio
import logging
import resource
import signal
import sys

import uvloop

from ingest.errors import SettingsError
from ingest.health import Progress, start_watchdog
from ingest.log import configure_logging
from web.settings import Settings
from web.ws.processes import CHILD_ARGUMENT, run_processes

logger = logging.getLogger("web.ws")


def main() -> int:
    """Read settings, serve until SIGTERM or SIGINT; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m web.ws", description="Serve live candles over WebSocket.")
    parser.add_argument(CHILD_ARGUMENT, action="store_true", help=argparse.SUPPRESS)
    is_child = parser.parse_args().child
    try:
        settings = Settings.from_env()
    except SettingsError as error:
        print("\n".join(error.problems), file=sys.stderr)
        return 2
    configure_logging(settings.log_level, settings.log_format)
    if settings.ws_processes > 1 and not is_child:
        return run_processes(settings.ws_processes)
    # Its INFO lines are one per connection.
    logging.getLogger("websockets").setLevel(logging.WARNING)
    _allow_open_files()
    try:
        uvloop.run(_serve(settings, reuse_port=is_child))
    except OSError as error:
        address = f"{settings.bind_host}:{settings.ws_port}"
        print(f"BIND_HOST, WS_PORT: cannot listen on {address}: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


async def _serve(settings: Settings, *, reuse_port: bool) -> None:
    # Not before now: metrics look at the environment when they are imported, and the parent of several needs none.
    from web.ws.history import History
    from web.ws.relay import Relay
    from web.ws.server import WebSocketServer
    from workers.clients import redis_client
    from workers.presence import Presence
    from workers.store import get_store

    stop = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    progress = Progress()
    # With `reuse_port` it is one of several processes.
    start_watchdog(progress, end_with_parent=reuse_port)
    history = History(get_store)
    server = WebSocketServer(settings, Relay(settings.live_url, history, settings.live_window), history, progress)
    with Presence("ws", redis_client(settings.live_url), server.describe):
        await server.run(stop, reuse_port=reuse_port)
    logger.info("stopped")


def _allow_open_files() -> None:
    """Take as many file descriptors as we may: one per connection."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main())
