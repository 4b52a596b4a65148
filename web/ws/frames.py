"""One frame for many clients: what goes to a socket, encoded once per candle rather than once per client.

A frame from server to client is not masked (RFC 6455, section 5.3) and no extension is negotiated (`web.ws.server`
refuses compression), so its bytes are the same for everybody.
"""

from typing import Final

from websockets.frames import Frame, Opcode


def text_frame(payload: bytes) -> bytes:
    """A whole, final text frame; ``payload`` is UTF-8."""
    return Frame(Opcode.TEXT, payload).serialize(mask=False)


#: An empty ping: any pong, or anything else from the client, answers it.
PING: Final = Frame(Opcode.PING, b"").serialize(mask=False)
