"""The port of `/livez` and `/metrics` on real sockets."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest
from prometheus_client import CollectorRegistry

from ingest.health import MAX_REQUESTS, Progress, serve_health
from tests.integration.bridge_bench import wait_until


@pytest.fixture
def port() -> Iterator[int]:
    """A server of this test's own."""
    server = serve_health("127.0.0.1", 0, Progress(), CollectorRegistry())
    yield server.server_port
    server.shutdown()
    server.server_close()


def refused(port: int) -> float:
    """How many were hung up on, by the metrics."""
    page = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    return next(float(line.split()[1]) for line in page.splitlines() if line.startswith("health_refused_total "))


def test_who_holds_requests_back_holds_so_many_threads_and_no_more(port: int) -> None:
    before = refused(port)
    with ExitStack() as opened:
        for _ in range(MAX_REQUESTS):
            opened.enter_context(socket.create_connection(("127.0.0.1", port))).sendall(b"GET /livez")
        one_more = opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))

        answer = one_more.recv(100)

    assert answer == b""
    wait_until(lambda: _answers(port), "an answer once they are gone")
    assert refused(port) >= before + 1


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/livez").text == "ok\n"
    except httpx.HTTPError:
        return False
