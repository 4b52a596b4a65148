"""Ports for servers that tests start, or that nobody is to listen on."""

import os
import socket
from itertools import count
from typing import Final

#: Above those of the services, whatever their PORT_OFFSET, below MongoDB's, and below those that the system gives to
#: connections and to servers without a wish: such a one may come between the question and the start.
_FIRST: Final = 16_000
_HOW_MANY: Final = 10_000
#: Between two processes that run tests side by side.
_APART: Final = 397

_numbers = count(os.getpid() * _APART)


def free_port() -> int:
    """A port that nobody listens on, and that this process has not given before."""
    while True:
        port = _FIRST + next(_numbers) % _HOW_MANY
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
