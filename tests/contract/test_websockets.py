"""What `web.ws` relies on in websockets."""

import inspect

import pytest
from websockets.asyncio.connection import Connection
from websockets.asyncio.server import serve
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol

from web.ws.frames import PING, text_frame


@pytest.mark.parametrize("length", [0, 125, 126, 65_535, 65_536])
def test_a_frame_made_once_is_what_the_library_would_send(length: int) -> None:
    payload = b"x" * length

    frame = text_frame(payload)

    assert frame == Frame(Opcode.TEXT, payload).serialize(mask=False, extensions=[])


def test_a_ping_has_no_payload() -> None:
    assert PING == b"\x89\x00"


def test_the_hooks_that_are_overridden_exist() -> None:
    assert {"connection_made", "connection_lost", "data_received", "resume_writing"} <= set(vars(Connection))
    assert "self.paused = True" in inspect.getsource(Connection.pause_writing)


def test_a_connection_class_of_ones_own_gets_protocol_and_server() -> None:
    assert "create_connection" in inspect.signature(serve).parameters
    assert list(inspect.signature(ServerProtocol.accept).parameters) == ["self", "request"]
