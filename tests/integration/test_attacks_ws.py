"""What clients that mean harm get from the WebSocket server, and that others are served meanwhile; see
docs/security.md.
"""

import asyncio
import json
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidStatus

from tests.integration.attackers import (
    SECONDS,
    added,
    exchange,
    is_closed,
    resident_bytes,
    silent_sockets,
    status,
    traces,
)
from tests.integration.test_ws import (  # noqa: F401
    Publisher,
    client,
    close_frame,
    connected,
    environment,
    line,
    metric,
    publisher,
    receive,
    server,
)
from tests.integration.web_processes import WS, running, wait_until

MIB = 1024 * 1024
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)


@pytest.fixture
def port(environment: dict[str, str]) -> int:  # noqa: F811
    return int(environment["WS_PORT"])


async def served(websocket: ClientConnection, publisher: Publisher) -> float:  # noqa: F811
    """How long somebody who behaves, and is subscribed, waits for a candle."""
    started = time.monotonic()
    candle = publisher.publish()
    while await receive(websocket) != line(candle):
        pass
    return time.monotonic() - started


def beside_a_good_client(
    environment: dict[str, str],  # noqa: F811
    publisher: Publisher,  # noqa: F811
    attack: Callable[[], Awaitable[Any]],
) -> tuple[Any, float]:
    """What an attack yields, and how long a subscribed client waits for a candle after it, or while it goes on."""

    async def scenario() -> tuple[Any, float]:
        publisher.publish()
        async with connected(environment) as good:
            await good.send("subscribe,BTC-USD")
            await receive(good)
            result = await attack()
            return result, await served(good, publisher)

    return asyncio.run(scenario())


def frame(first: int, payload: bytes = b"", *, masked: bool = True) -> bytes:
    """A frame of a client by hand; ``first`` is its first byte (fin, reserved bits, opcode)."""
    size = bytes([len(payload)]) if len(payload) < 126 else b"\x7e" + len(payload).to_bytes(2, "big")
    if not masked:
        return bytes([first]) + size + payload
    return bytes([first, size[0] | 0x80]) + size[1:] + bytes(4) + payload


def answer_by_hand(port: int, *frames: bytes) -> tuple[int | None, bytes]:
    """The code of the close frame that these frames end in, and everything that came since the handshake."""
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as sock:
        sock.sendall(UPGRADE + b"\r\n")
        head = sock.recv(4096)
        assert head.startswith(b"HTTP/1.1 101"), head
        told = head.partition(b"\r\n\r\n")[2]
        try:
            sock.sendall(b"".join(frames))
            while part := sock.recv(65_536):
                told += part
        except ConnectionError:
            pass
    at = told.rfind(b"\x88")
    return (int.from_bytes(told[at + 2 : at + 4], "big") if at >= 0 else None), told


def subscribe(**params: Any) -> str:
    return json.dumps({"id": 1, "method": "subscribe", "params": params})


HOSTILE_FRAMES = {
    subscribe(pairs=["$ne"]): "unknown_pair",
    subscribe(pairs=[{"$gt": ""}]): "bad_request",
    subscribe(pairs={"$in": ["BTC-USD"]}): "bad_request",
    subscribe(pairs=["BTC-USD"], exchange={"$ne": None}): "bad_request",
    subscribe(pairs=["BTC-USD"], exchange="live:*"): "unknown_exchange",
    subscribe(pairs=["BTC-USD"], interval="1m\r\nDEL live:feeds"): "unknown_interval",
    subscribe(pairs=["BTC-USD\x00"]): "unknown_pair",
    subscribe(pairs=["BTC-USD\n"]): "unknown_pair",
    subscribe(pairs=["\x1b[2J"]): "unknown_pair",
    subscribe(pairs=["\u202eDSU-CTB"]): "unknown_pair",
    subscribe(pairs=["../../etc/passwd"]): "unknown_pair",
    subscribe(pairs=["BTC-USD"], snapshot=99999999999999999999): "bad_request",
    subscribe(pairs=["BTC-USD"], snapshot=501): "bad_request",
    subscribe(pairs=["BTC-USD"], max_rate=1e400): "bad_json",
    subscribe(pairs=["BTC-USD"], **{"__class__": "x"}): "bad_request",
    subscribe(pairs=["BTC-USD"], cursors={"BTC-USD": "9" * 129}): "bad_request",
    subscribe(pairs=["A" * 5000]): "bad_request",
    subscribe(pairs=["BTC-USD"] * 201): "bad_request",
    '{"id":99999999999999999999,"method":"ping"}': "bad_request",
    '{"id":"' + "x" * 65 + '","method":"ping"}': "bad_request",
    '{"method":"$where"}': "unknown_method",
    '{"a":' * 2500 + "1" + "}" * 2500: "bad_json",
    '{"a":' + "[" * 8000: "bad_json",
    '{"method":"ping","id":"\\ud800"}': "bad_json",
    "{" + "9" * 4000: "bad_json",
    "subscribe,$ne": "unknown_pair",
    "subscribe,BTC-USD\x00": "unknown_pair",
    "subscribe,__proto__": "unknown_pair",
    "subscribe\x00,BTC-USD": "bad_request",
    "\x1b]0;owned\x07": "bad_request",
}


@pytest.mark.usefixtures("server")
def test_hostile_frames_are_answered_by_a_code_and_reach_nothing(
    environment: dict[str, str],  # noqa: F811
    publisher: Publisher,  # noqa: F811
    port: int,
    tmp_path: Path,
) -> None:
    unprintable: list[str] = []

    async def attack() -> tuple[dict[str, str], bool]:
        before = traces(environment, port)
        codes = {}
        for text in HOSTILE_FRAMES:
            async with connected(environment) as websocket:
                await websocket.send(text)
                answer = await receive(websocket)
                error = json.loads(answer)["error"]
                # `pair` is what was asked for, in JSON's quotes; the sentence goes to screens and logs.
                if not (error["message"].isascii() and error["message"].isprintable()) or min(answer) < " ":
                    unprintable.append(answer)
                codes[text] = error["code"]
        after = traces(environment, port)
        # Labels of answers come with the answers.
        return codes, added(before, after).keys() <= {"labels"}

    (codes, is_untouched), seconds = beside_a_good_client(environment, publisher, attack)

    assert (codes, unprintable) == (HOSTILE_FRAMES, [])
    assert (is_untouched, seconds < 1) == (True, True)
    assert all(json.loads(each)["logger"] for each in (tmp_path / "ws.log").read_bytes().splitlines())


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([frame(0x81, b"\xff\xfe\xfd")], 1007),
        ([frame(0x81, b"subscribe,BTC-USD", masked=False)], 1002),
        # Compressed, which nobody agreed on: a bomb is refused before anything is unpacked.
        ([frame(0xC1, b"\x00" * 100)], 1002),
        ([frame(0x83)], 1002),
        ([frame(0x80, b"continued")], 1002),
        ([frame(0x89, b"x" * 126)], 1002),
        ([frame(0x09)], 1002),
        # 20 KiB in parts that are small themselves.
        ([frame(0x01, b"x" * 1024), *[frame(0x00, b"x" * 1024)] * 20], 1009),
        # A length of 2^63 that never comes.
        ([b"\x81\xff" + (2**63 - 1).to_bytes(8, "big") + bytes(4)], 1009),
        # Parts without an end, and without content that would count.
        ([frame(0x01), *[frame(0x00)] * 6000], 1009),
    ],
    ids=["utf8", "unmasked", "compressed", "opcode", "orphan", "control", "cut ping", "parts", "length", "empty parts"],
)
def test_what_breaks_the_protocol_is_closed_with_a_code(
    environment: dict[str, str],  # noqa: F811
    publisher: Publisher,  # noqa: F811
    port: int,
    server: subprocess.Popen[bytes],  # noqa: F811
    tmp_path: Path,
    frames: list[bytes],
    code: int,
) -> None:
    async def attack() -> int | None:
        return (await asyncio.to_thread(answer_by_hand, port, *frames))[0]

    got, seconds = beside_a_good_client(environment, publisher, attack)

    assert (got, seconds < 1) == (code, True)
    assert "Traceback" not in (tmp_path / "ws.log").read_text()


@pytest.mark.usefixtures("server")
def test_compression_is_not_agreed_on(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as sock:
        sock.sendall(UPGRADE + b"Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=15\r\n\r\n")
        head = sock.recv(4096)

    assert head.startswith(b"HTTP/1.1 101")
    assert b"deflate" not in head


def test_unknown_pairs_leave_nothing_behind(
    environment: dict[str, str],  # noqa: F811
    publisher: Publisher,  # noqa: F811
    port: int,
    tmp_path: Path,
) -> None:
    limits = {"WS_MAX_COMMANDS_PER_SECOND": "10000", "WS_MAX_BURST": "100000"}

    async def ask(first: int, count: int) -> set[str]:
        codes = set()
        async with connected(environment) as websocket:
            for number in range(first, first + count):
                await websocket.send(f"subscribe,X{number}-USD")
                await websocket.send(subscribe(pairs=[f"Y{number}-{each}" for each in range(20)], exchange="sim"))
                await websocket.send(subscribe(pairs=["BTC-USD"], exchange=f"x{number}"))
                codes |= {json.loads(await receive(websocket))["error"]["code"] for _ in range(22)}
        return codes

    with running(WS, port, tmp_path / "ws.log", **environment, **limits) as process:

        async def attack() -> tuple[set[str], bool, int]:
            await ask(0, 50)
            traces(environment, port)
            before, memory = traces(environment, port), resident_bytes(process.pid)
            codes = await ask(50, 200)
            return codes, added(before, traces(environment, port)) == {}, resident_bytes(process.pid) - memory

        (codes, is_untouched, grown), seconds = beside_a_good_client(environment, publisher, attack)
        series = metric(environment, "ws_series ")

    assert codes == {"unknown_pair", "unknown_exchange"}
    assert (is_untouched, series, grown < 2 * MIB, seconds < 1) == (True, 1, True, True)


def test_a_flood_of_sockets_that_say_nothing_gives_way_to_those_that_mean_it(
    environment: dict[str, str],  # noqa: F811
    publisher: Publisher,  # noqa: F811
    port: int,
    tmp_path: Path,
) -> None:
    environment["WS_MAX_CONNECTIONS"] = "5"

    async def newcomer() -> float:
        started = time.monotonic()
        async with connected(environment) as websocket:
            await websocket.send("subscribe,BTC-USD")
            await receive(websocket)
            return time.monotonic() - started

    with (
        running(WS, port, tmp_path / "ws.log", **environment) as process,
        # More than there is room for in handshakes.
        silent_sockets(port, 1200, UPGRADE) as silent,
    ):
        seconds_new, seconds_old = beside_a_good_client(environment, publisher, newcomer)
        held = sum(not is_closed(each) for each in silent)
        memory = resident_bytes(process.pid)
        # The rest has ten seconds for its handshake.
        wait_until(lambda: all(map(is_closed, silent)), 15)

    assert (seconds_new < 2, seconds_old < 1) == (True, True)
    assert (held <= 1000, memory < 200 * MIB) == (True, True)
    # Nor does the log grow by a line for each.
    assert len((tmp_path / "ws.log").read_bytes().splitlines()) < 50


@pytest.mark.usefixtures("server")
def test_a_handshake_of_a_few_bytes_a_second_is_hung_up_on(
    environment: dict[str, str],  # noqa: F811
    publisher: Publisher,  # noqa: F811
    port: int,
) -> None:
    async def attack() -> float:
        started = time.monotonic()
        with silent_sockets(port, 20, UPGRADE + b"X: ") as slow:
            while not all(map(is_closed, slow)):
                assert time.monotonic() - started < 15
                for each in slow:
                    try:
                        each.send(b"y")
                    except (ConnectionError, BlockingIOError):
                        continue
                await asyncio.sleep(0.5)
        return time.monotonic() - started

    seconds, waited = beside_a_good_client(environment, publisher, attack)

    assert (9 < seconds < 13, waited < 1) == (True, True)


def test_addresses_are_counted_as_the_trusted_proxy_says(
    environment: dict[str, str],  # noqa: F811
    publisher: Publisher,  # noqa: F811
    port: int,
    tmp_path: Path,
) -> None:
    limits = {"WS_MAX_CONNECTIONS_PER_ADDRESS": "1", "TRUSTED_PROXIES": "127.0.0.1"}

    async def answer_to(forwarded: str) -> int:
        try:
            async with connected(environment, additional_headers={"X-Forwarded-For": forwarded}):
                return 101
        except InvalidStatus as refused:
            return refused.response.status_code

    async def attack() -> list[int]:
        async with (
            connected(environment, additional_headers={"X-Forwarded-For": "203.0.113.1"}),
            connected(environment, additional_headers={"X-Forwarded-For": "2001:db8:0:1::1"}),
        ):
            return [
                await answer_to("203.0.113.1"),
                await answer_to("9.9.9.9, 203.0.113.1"),
                await answer_to("127.0.0.1, 203.0.113.1"),
                # Another of the 2^64 addresses of one customer.
                await answer_to("2001:db8:0:1::2"),
                await answer_to("2001:db8:0:2::1"),
                await answer_to("203.0.113.2"),
            ]

    with running(WS, port, tmp_path / "ws.log", **environment, **limits):
        statuses, seconds = beside_a_good_client(environment, publisher, attack)

    assert (statuses, seconds < 1) == ([429, 429, 429, 429, 101, 101], True)


@pytest.mark.usefixtures("server")
def test_requests_that_are_no_handshake_are_refused(
    environment: dict[str, str],  # noqa: F811
    publisher: Publisher,  # noqa: F811
    port: int,
    tmp_path: Path,
) -> None:
    requests = {
        "long url": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        "long header": UPGRADE + b"A: " + b"b" * 100_000 + b"\r\n\r\n",
        "many headers": UPGRADE + b"".join(b"A%d: b\r\n" % number for number in range(1000)) + b"\r\n",
        "post": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
        "body": UPGRADE + b"Content-Length: 5\r\n\r\nhello",
        "no key": UPGRADE.replace(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b"") + b"\r\n",
        "no http": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        "line feed in a path": b"GET /\x0aX-Injected: 1 HTTP/1.1\r\nHost: x\r\n\r\n",
    }

    async def attack() -> dict[str, int | None]:
        return {name: status(await asyncio.to_thread(exchange, port, sent)) for name, sent in requests.items()}

    statuses, seconds = beside_a_good_client(environment, publisher, attack)

    assert [name for name, each in statuses.items() if each not in (400, 405, 414, 426, 431, None)] == []
    assert seconds < 1
    log = (tmp_path / "ws.log").read_bytes()
    assert all(json.loads(each)["logger"] for each in log.splitlines())
    assert b"Traceback" not in log
