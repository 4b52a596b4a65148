"""What WebSocket clients that stop reading cost the server, and those that read.

    python -m tests.benchmarks.frozen [--clients 200] [--seconds 75] [--updates 200]

Starts a stack of its own with ten clients that read, and measures for half a minute how long updates take to them. Then
come clients that follow every pair, with a small buffer, and never read; whoever is cut off comes back soon, so that
there are nearly always so many. Exits with 1 when a promise is broken: who is frozen is gone within 15 s and shows in
the metrics, the server's memory is flat, and the others notice nothing.
"""

import argparse
import base64
import os
import re
import socket
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import httpx

from tests.benchmarks.load import (
    MIB,
    NOISE_MS,
    delays,
    listening,
    load_pairs,
    loaded_stack,
    mebibytes,
    percentiles,
    restarted,
    sampled,
    within,
)
from tests.chaos.process_checkers import GROWTH_BYTES, growth
from tests.chaos.taps.tap import Tap
from tests.system.stack import Stack

PORT_OFFSET: Final = 3_300
PAIRS: Final = 20
READING: Final = 10
BASELINE_SECONDS: Final = 30.0
#: Promised from the moment on when a client takes nothing more; its buffers take about two seconds of updates first.
GONE_BOUND_SECONDS: Final = 15.0 + 2.0
#: Clients that come per look, four times a second: what handshakes cost is another question.
MOST_AT_ONCE: Final = 10
#: Why the server ends what takes nothing.
REASONS: Final = ("stalled", "silent", "overflow")
_SMALL_BUFFER: Final = 2048
_ANSWER_SECONDS: Final = 5.0
#: The first frozen clients come all at once; the server's allocator reaches its size with them.
_WARM_UP_SECONDS: Final = 15.0


@dataclass(frozen=True)
class Frozen:
    """A client that never reads."""

    sock: socket.socket
    #: By which the server knows it.
    port: int
    since: float


def freeze(port: int, pairs: Sequence[str]) -> Frozen:
    """Connect, follow all pairs, and read nothing from then on."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER)
    sock.settimeout(_ANSWER_SECONDS)
    sock.connect(("127.0.0.1", port))
    key = base64.b64encode(os.urandom(16)).decode()
    sock.sendall(
        f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += sock.recv(1)
    assert answer.startswith(b"HTTP/1.1 101 "), answer
    text = "\n".join(f"subscribe,{pair}" for pair in pairs).encode()
    # A whole text frame with a 16-bit length; the mask is of zeros, which changes nothing.
    sock.sendall(b"\x81\xfe" + len(text).to_bytes(2, "big") + bytes(4) + text)
    return Frozen(sock, int(sock.getsockname()[1]), time.time())


def held_by(port: int) -> set[int]:
    """The ports of the clients of whose connections the server at this port has not let go."""
    own = f" 0100007F:{port:04X} "
    # Not psutil: it looks at every file of the process, which takes 50 ms among a thousand connections.
    with open("/proc/net/tcp") as lines:
        rows = [line.split() for line in lines if own in line]
    return {int(peer.rpartition(":")[2], 16) for _, local, peer, state, *_ in rows if local in own and state == "01"}


class FrozenClients(Tap):
    """Keeps so many frozen clients connected, and notes how long the server kept each."""

    pause_seconds = 0.25

    def __init__(self, stack: Stack, pairs: Sequence[str], count: int) -> None:
        super().__init__()
        self._port = stack.port(3004)
        self._pairs, self._count = pairs, count
        self._clients: list[Frozen] = []
        #: How long each that is gone was kept, seconds; and how long the oldest was that is not gone.
        self.kept: list[float] = []
        self.oldest = 0.0

    def look(self) -> None:
        """Replace those that the server let go."""
        now = time.time()
        held = held_by(self._port)
        gone = [each for each in self._clients if each.port not in held]
        self.kept += [now - each.since for each in gone]
        self._clients = [each for each in self._clients if each.port in held]
        for each in gone:
            each.sock.close()
        self.oldest = max([self.oldest, *(now - each.since for each in self._clients)])
        missing = min(MOST_AT_ONCE, self._count - len(self._clients))
        self._clients += [freeze(self._port, self._pairs) for _ in range(missing)]

    def close(self) -> None:
        """Let all go."""
        for each in self._clients:
            each.sock.close()


def closed(stack: Stack) -> Counter[str]:
    """How many connections the server ended, by reason."""
    page = httpx.get(f"http://127.0.0.1:{stack.port(3004)}/metrics").text
    found = re.findall(r'^ws_closed_total\{reason="([^"]*)"\} (\S+)$', page, re.MULTILINE)
    return Counter({reason: int(float(value)) for reason, value in found})


def report_frozen(clients: FrozenClients, shown: Counter[str]) -> Iterator[str]:
    """Print how long they were kept; yields what is broken."""
    kept = clients.kept
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(shown.items()))
    print(f"\n{len(kept)} frozen clients were cut off; ws_closed_total rose by: {reasons}")
    if not kept:
        yield "no frozen client was cut off"
        return
    longest = max(*kept, clients.oldest)
    print(f"  kept for {statistics.median(kept):.1f} s (median), {longest:.1f} s (longest)")
    if longest > GONE_BOUND_SECONDS:
        yield f"a frozen client was kept for {longest:.1f} s"
    if (told := sum(shown[each] for each in REASONS)) < len(kept):
        yield f"{len(kept)} were cut off, and the metrics tell of {told}"


def report_memory(samples: Sequence[tuple[float, int]], began: float, ended: float) -> Iterator[str]:
    """Print the server's memory; yields what is broken."""
    alone, _, _ = mebibytes(within(samples, began - BASELINE_SECONDS, began))
    chosen = within(samples, began + _WARM_UP_SECONDS, ended)
    first, last, slope = mebibytes(chosen)
    print(f"\nserver's memory, MiB: {alone:.1f} before; with them {first:.1f} to {last:.1f}, {slope:+.0f} KiB/min")
    if (grown := growth(chosen)) > GROWTH_BYTES:
        yield f"the server grew by {grown / MIB:.1f} MiB"


def report_others(measured: list[tuple[float, float]], began: float, ended: float) -> Iterator[str]:
    """Print the delays of those that read; yields what is broken."""
    before = percentiles(measured, began - BASELINE_SECONDS, began)
    beside = percentiles(measured, began, ended)
    print("\nframe sent → client that reads, ms       p50      p99       n")
    for name, (p50, p99, count) in {"before": before, "beside frozen ones": beside}.items():
        print(f"  {name:<34} {p50:8.2f} {p99:8.2f} {count:7}")
    if beside[1] > before[1] + NOISE_MS:
        yield f"their p99 rose from {before[1]:.1f} to {beside[1]:.1f} ms"


def main() -> int:
    """Parse, run, print; returns 1 when a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=200, help="how many are frozen at any time")
    parser.add_argument("--seconds", type=float, default=75, help="for how long")
    parser.add_argument("--updates", type=int, default=200, help="updates a second, of all pairs together")
    options = parser.parse_args()
    pairs = load_pairs(PAIRS)
    with loaded_stack("frozen", PORT_OFFSET, pairs=pairs, updates=options.updates) as stack:
        pids = stack.pids()
        clients = FrozenClients(stack, pairs, options.clients)
        with listening(stack, pairs, clients=READING) as log, sampled(stack) as (memory, _):
            time.sleep(BASELINE_SECONDS)
            before, began = closed(stack), time.time()
            clients.start()
            time.sleep(options.seconds)
            ended, shown = time.time(), closed(stack) - before
            clients.stop()
        broken = [f"{name} was started again" for name in restarted(stack, pids)]
        broken += [
            *report_frozen(clients, shown),
            *report_memory(memory.samples["ws"], began, ended),
            *report_others(delays(stack, log), began, ended),
        ]
    for each in broken:
        print(f"BROKEN: {each}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
