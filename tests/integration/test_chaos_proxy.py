"""The proxy of the fault harness does to a link what its modes promise, and nothing else."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.chaos.proxy import Mode, Proxies

LINK = "client/echo"


@pytest.fixture
def echo_port() -> Iterator[int]:
    """A server that sends back what it gets."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(65536):
                connection.sendall(data)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=_quietly, args=(serve, connection), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield int(listener.getsockname()[1])
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def _quietly(serve: "object", connection: socket.socket) -> None:
    try:
        assert callable(serve)
        serve(connection)
    except OSError:
        pass


@pytest.fixture
def proxies(echo_port: int) -> Iterator[Proxies]:
    """One link to the echo server."""
    with Proxies() as proxies:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = int(free.getsockname()[1])
        proxies.add(LINK, port, echo_port)
        yield proxies


def connect(proxies: Proxies) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxies.link(LINK).port), timeout=5)


def ask(client: socket.socket, text: bytes) -> bytes:
    client.sendall(text)
    return client.recv(65536)


def test_passes_bytes_both_ways(proxies: Proxies) -> None:
    with connect(proxies) as client:
        assert ask(client, b"hello") == b"hello"


def test_passes_what_was_sent_last_before_an_end(proxies: Proxies) -> None:
    with connect(proxies) as client:
        text = b"x" * 3_000_000
        sender = threading.Thread(target=client.sendall, args=(text,))
        sender.start()
        received = b""
        while len(received) < len(text):
            received += client.recv(1 << 20)
        sender.join()

    assert received == text


def test_a_cut_link_ends_connections_and_refuses_new_ones_until_it_passes_again(proxies: Proxies) -> None:
    client = connect(proxies)
    ask(client, b"hello")

    proxies.set(LINK, Mode.CUT)

    assert client.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        connect(proxies)
    proxies.set(LINK, Mode.PASS)
    with connect(proxies) as again:
        assert ask(again, b"hello") == b"hello"
    client.close()


def test_a_reset_link_resets_old_and_new_connections(proxies: Proxies) -> None:
    with connect(proxies) as client:
        ask(client, b"hello")

        proxies.set(LINK, Mode.RESET)

        with pytest.raises(ConnectionResetError):
            client.recv(1)
        with pytest.raises(ConnectionResetError), connect(proxies) as fresh:
            fresh.recv(1)


def test_a_black_hole_keeps_everything_back_and_gives_it_up_later(proxies: Proxies) -> None:
    with connect(proxies) as client:
        ask(client, b"hello")
        proxies.set(LINK, Mode.BLACK_HOLE)

        client.sendall(b"anyone?")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(1)
        proxies.set(LINK, Mode.PASS)

        client.settimeout(5)
        assert client.recv(100) == b"anyone?"


def test_a_black_hole_takes_new_connections_and_says_nothing(proxies: Proxies) -> None:
    proxies.set(LINK, Mode.BLACK_HOLE)

    with connect(proxies) as client:
        client.sendall(b"anyone?")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(1)
        proxies.set(LINK, Mode.PASS)
        client.settimeout(5)
        assert client.recv(100) == b"anyone?"


def test_a_delayed_link_takes_its_time_each_way(proxies: Proxies) -> None:
    proxies.set(LINK, Mode.DELAY, delay_seconds=0.1)

    with connect(proxies) as client:
        began = time.monotonic()
        assert ask(client, b"hello") == b"hello"

    assert 0.2 <= time.monotonic() - began < 2


def test_a_limited_link_passes_so_many_bytes_per_second(proxies: Proxies) -> None:
    proxies.set(LINK, Mode.LIMIT, bytes_per_second=20_000)

    with connect(proxies) as client:
        began = time.monotonic()
        client.sendall(b"x" * 10_000)
        received = 0
        while received < 10_000:
            received += len(client.recv(65536))

    assert 0.45 <= time.monotonic() - began < 4


def test_a_dropped_reply_was_applied_and_its_connection_is_reset(proxies: Proxies) -> None:
    with connect(proxies) as client:
        assert ask(client, b"read") == b"read"
        proxies.drop_replies(LINK, 1, lambda request: b"write" in request)

        assert ask(client, b"read") == b"read"
        with pytest.raises(ConnectionResetError):
            ask(client, b"write")

    with connect(proxies) as again:
        assert ask(again, b"write") == b"write"
    assert proxies.link(LINK).dropped == 1
