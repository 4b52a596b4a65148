"""What a bridge says of itself, and what others that listen at its address say."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from workers.offsets import read_in_flight

METRICS = b"""# TYPE bridge_inflight_records gauge
bridge_inflight_records{bridge="persist",topic="candles",partition="0"} 12.0
bridge_inflight_records{bridge="persist",topic="candles",partition="5"} 0.0
bridge_inflight_records{bridge="fanout",topic="candles",partition="0"} 3.0
bridge_inflight_rows{bridge="persist"} 12.0
"""


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A server that answers its one client with these bytes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(65_536)
                client.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join(5)


def test_the_metric_of_this_bridge_is_read() -> None:
    with answering(b"HTTP/1.0 200 OK\r\n\r\n" + METRICS) as address:
        in_flight = read_in_flight(address, "persist")

    assert in_flight == {("candles", 0): 12, ("candles", 5): 0}


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.0 404 Not Found\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n<html>",
        b"HTTP/1.0 200 OK\r\n\r\n\xff\xfe",
        b'HTTP/1.0 200 OK\r\n\r\nbridge_inflight_records{bridge="persist"} 1\n',
        b'HTTP/1.0 200 OK\r\n\r\nbridge_inflight_records{bridge="persist",topic="c",partition="0"} NaN\n',
    ],
)
def test_another_program_at_that_address_says_nothing(answer: bytes) -> None:
    with answering(answer) as address:
        assert read_in_flight(address, "persist") == {}


def test_nobody_at_that_address_says_nothing() -> None:
    assert read_in_flight("127.0.0.1:1", "persist") == {}
