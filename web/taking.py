"""How fast a client takes what is sent to it, as the kernel knows it.

Whoever writes to a blocking socket does not see that: a write returns when the kernel has taken all, and until then
nothing tells a slow client from one that reads a byte a minute to hold a thread.

Source: Linux, ``include/uapi/linux/tcp.h`` (``struct tcp_info``, ``tcpi_bytes_acked`` since 4.1), tcp(7),
``SIOCOUTQ``.
"""

import fcntl
import socket
import struct
import sys
import termios
from typing import Final, NamedTuple

_ACKED_AT: Final = 120
_INFO_BYTES: Final = _ACKED_AT + 8

#: What a client has to take within the time, bytes and seconds, if others wait for its thread.
LEAST_BYTES: Final = 16 * 1024
WITHIN_SECONDS: Final = 1.0


class Taken(NamedTuple):
    """Bytes that a client has acknowledged, and when that was so (monotonic seconds)."""

    acknowledged: int
    at: float


class Pace:
    """Watches connections whose answers are being sent; asked about once a second."""

    def __init__(self) -> None:
        self._seen: dict[socket.socket, Taken] = {}

    def too_slow(self, sending: list[socket.socket], now: float) -> list[socket.socket]:
        """Those that took less than `LEAST_BYTES` in `WITHIN_SECONDS` although more waited for them."""
        slow, seen = [], {}
        for sock in sending:
            taken = read(sock, now)
            if taken is None:
                continue
            before = self._seen.get(sock, taken)
            if now - before.at < WITHIN_SECONDS:
                seen[sock] = before
            elif taken.acknowledged - before.acknowledged < LEAST_BYTES:
                slow.append(sock)
            else:
                seen[sock] = taken
        # Only of those that are being sent to now.
        self._seen = seen
        return slow


def read(sock: socket.socket, now: float) -> Taken | None:
    """What the client has taken; None if nothing waits for it, the socket is closed, or the system does not tell."""
    try:
        (waiting,) = struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)))
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
    except (OSError, ValueError):
        return None
    if not waiting or len(info) < _INFO_BYTES:
        return None
    return Taken(int.from_bytes(info[_ACKED_AT:], sys.byteorder), now)
