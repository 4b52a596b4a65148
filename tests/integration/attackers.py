"""What attackers of the two servers share: raw bytes on sockets, and a look at what an attack left behind."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import redis
from pymongo import MongoClient

#: How long any answer may take here (seconds).
SECONDS = 10.0


def exchange(port: int, request: bytes) -> bytes:
    """Everything that comes until the server hangs up on a connection that sent these bytes and no more."""
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as sock:
        answer = b""
        try:
            sock.sendall(request)
            while part := sock.recv(65_536):
                answer += part
        except ConnectionError:
            # It did not wait for all of the request.
            pass
        return answer


def request(target: str, method: str = "GET") -> bytes:
    """The bytes of a request that nothing has tidied up."""
    return f"{method} {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()


def status(answer: bytes) -> int | None:
    """The status of an HTTP answer; None if there was none."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else None


@contextmanager
def silent_sockets(port: int, count: int, said: bytes = b"") -> Iterator[list[socket.socket]]:
    """So many connections that say this and nothing more."""
    opened = []
    try:
        for _ in range(count):
            opened.append(socket.create_connection(("127.0.0.1", port), timeout=SECONDS))
            opened[-1].sendall(said)
        yield opened
    finally:
        for each in opened:
            each.close()


def is_closed(sock: socket.socket) -> bool:
    """Whether the server has hung up."""
    sock.setblocking(False)
    try:
        return sock.recv(65_536) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def resident_bytes(pid: int) -> int:
    """The memory of a process and its children."""
    page = os.sysconf("SC_PAGE_SIZE")
    processes = [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    return sum(int(Path(f"/proc/{each}/statm").read_text().split()[1]) * page for each in processes)


def seconds_to_get(url: str) -> float:
    """How long a client that behaves waits for a 200, on a connection of its own."""
    started = time.monotonic()
    answer = httpx.get(url, timeout=SECONDS)
    assert answer.status_code == 200, answer.text
    return time.monotonic() - started


def traces(environment: dict[str, str], port: int) -> dict[str, Any]:
    """All that an attack could have added to: keys, documents, and the names of metrics with their labels."""
    with redis.Redis.from_url(environment["REDIS_URL"]) as live:
        keys = sorted(live.scan_iter("*"))
    with MongoClient[dict[str, Any]](environment["MONGO_URI"]) as mongo:
        database = mongo[environment["MONGO_DB"]]
        documents = {name: database[name].count_documents({}) for name in sorted(database.list_collection_names())}
    page = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=SECONDS).text
    labels = {line.rpartition(" ")[0] for line in page.splitlines() if not line.startswith("#")}
    return {"keys": keys, "documents": documents, "labels": sorted(labels)}


def added(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What came between two looks: new keys, other labels, collections that count other documents; empty if nothing.

    A key that has gone meanwhile is no trace of an attack: those of other tests expire.
    """
    found = {
        "keys": sorted(set(after["keys"]) - set(before["keys"])),
        "labels": sorted(set(after["labels"]) ^ set(before["labels"])),
        "documents": sorted(after["documents"].items() ^ before["documents"].items()),
    }
    return {name: each for name, each in found.items() if each}
