import os
import socket
from collections.abc import Iterator

import pytest

from deploy.native.ports import answers, describe_listener, is_free, listeners


@pytest.fixture
def listening_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_port_that_somebody_listens_on_is_told_from_a_free_one(listening_port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed_port = server.getsockname()[1]

    seen = {port: (is_free(port), answers(port)) for port in (listening_port, closed_port)}

    assert seen == {listening_port: (False, True), closed_port: (True, False)}


def test_listener_is_named_with_its_process_and_folder(listening_port: int) -> None:
    pids = listeners(listening_port)
    description = describe_listener(listening_port)

    assert pids == {str(os.getpid())}
    assert f"(process {os.getpid()}, in {os.getcwd()})" in description
