"""WebSocket clients in a process of their own, so that what else a benchmark does cannot delay what they see.

    python -m tests.benchmarks.listener URL FILE PAIR... [--clients 1]

Every client follows all the pairs. The file gets a line for each frame: the client's number, when the frame was there
(Unix seconds), and the frame. Ends with status 0 on SIGTERM, with 1 when a client loses its connection.
"""

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import uvloop
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed


async def follow(number: int, url: str, pairs: Sequence[str], file: BinaryIO) -> None:
    """Note every frame until the connection ends."""
    async with connect(url, compression=None, ping_interval=None, max_queue=None, proxy=None) as client:
        await client.send("\n".join(f"subscribe,{pair}" for pair in pairs))
        try:
            while True:
                frame = await client.recv(decode=False)
                file.write(b"%d %.6f %b\n" % (number, time.time(), frame))
        except ConnectionClosed as error:
            print(f"client {number} lost its connection: {error}", file=sys.stderr)


async def listen(url: str, pairs: Sequence[str], clients: int, file: BinaryIO) -> int:
    """Follow with so many clients until SIGTERM; returns the exit status."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    following = [asyncio.create_task(follow(number, url, pairs, file)) for number in range(clients)]
    stopped = asyncio.create_task(stopping.wait())
    await asyncio.wait([stopped, *following], return_when=asyncio.FIRST_COMPLETED)
    status = 0 if stopping.is_set() else 1
    for task in (stopped, *following):
        task.cancel()
    for outcome in await asyncio.gather(*following, return_exceptions=True):
        if isinstance(outcome, Exception):
            print(f"a client failed: {outcome}", file=sys.stderr)
            status = 1
    return status


def heard(path: Path) -> Iterator[tuple[int, float, bytes]]:
    """What a file of `listen` holds: client, when, frame."""
    with path.open("rb") as lines:
        for line in lines:
            number, at, frame = line.split(b" ", 2)
            yield int(number), float(at), frame


def main() -> int:
    """Parse and listen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("file", type=Path)
    parser.add_argument("pairs", nargs="+", metavar="PAIR")
    parser.add_argument("--clients", type=int, default=1)
    options = parser.parse_args()
    with options.file.open("wb") as file:
        return uvloop.run(listen(options.url, options.pairs, options.clients, file))


if __name__ == "__main__":
    sys.exit(main())
