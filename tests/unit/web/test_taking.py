"""What the kernel tells of how fast a client reads, on a real pair of sockets."""

import socket
from collections.abc import Iterator

import pytest

from web.taking import LEAST_BYTES, WITHIN_SECONDS, Pace


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A server's and its client's end of a connection; the client takes little before it is read."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.settimeout(5)
        client.connect(listener.getsockname())
        server, _ = listener.accept()
        with server:
            server.setblocking(False)
            yield server, client


def fill(server: socket.socket) -> int:
    sent = 0
    try:
        while True:
            sent += server.send(bytes(65_536))
    except BlockingIOError:
        return sent


def test_who_takes_nothing_of_what_waits_is_too_slow(pair: tuple[socket.socket, socket.socket]) -> None:
    server, _ = pair
    fill(server)
    pace = Pace()

    found = [pace.too_slow([server], now) for now in (10.0, 10.0 + WITHIN_SECONDS / 2, 10.0 + WITHIN_SECONDS)]

    assert found == [[], [], [server]]


def test_who_takes_enough_is_not(pair: tuple[socket.socket, socket.socket]) -> None:
    server, client = pair
    fill(server)
    pace = Pace()
    before = pace.too_slow([server], 10.0)

    read = 0
    while read < 4 * LEAST_BYTES:
        read += len(client.recv(65_536))

    assert (before, pace.too_slow([server], 10.0 + WITHIN_SECONDS)) == ([], [])


def test_while_an_answer_is_made_nobody_is_slow(pair: tuple[socket.socket, socket.socket]) -> None:
    server, _ = pair
    pace = Pace()

    assert [pace.too_slow([server], now) for now in (10.0, 20.0, 30.0)] == [[], [], []]


def test_a_socket_that_is_closed_is_nobodys(pair: tuple[socket.socket, socket.socket]) -> None:
    server, _ = pair
    server.close()

    assert Pace().too_slow([server], 10.0) == []
