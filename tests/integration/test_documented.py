"""Every example of docs/api.md on both servers as they run, over a store and a live side that hold what it shows."""

import asyncio
import json
import re
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest
import redis
from pymongo import MongoClient
from websockets.asyncio.client import ClientConnection, connect

from ingest.candle import Candle
from ingest.codec import encode_candle, encode_event
from ingest.events import EventKind, FeedEvent, FeedState
from tests.conftest import make_candle
from tests.integration.documented import (
    API,
    Conversation,
    Request,
    conversations,
    hour_of,
    requests,
    same_shape,
    shape,
    shown_candles,
)
from tests.integration.web_processes import REST, WS, running
from tests.ports import free_port
from web.endpoints import ENDPOINTS
from workers.live import FEEDS, LiveSide
from workers.settings import Settings
from workers.store import make_store

TEXT = API.read_text(encoding="utf-8")
REQUESTS = list(requests(TEXT))
CONVERSATIONS = list(conversations(TEXT))
#: A cursor as the examples have it.
CURSOR = re.compile(r'"[0-9a-f]{6}:\d+"')
PAIRS = ("BTC-USD", "ETH-USD")


@pytest.fixture(scope="module")
def servers(mongo_uri: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The settings of both servers, while they run."""
    folder = tmp_path_factory.mktemp("documented")
    environment = {
        "MONGO_URI": mongo_uri,
        "MONGO_DB": f"test-documented-{time.time_ns()}",
        "REDIS_URL": redis_url,
        "REST_PORT": str(free_port()),
        "WS_PORT": str(free_port()),
        "EXCHANGE": "sim",
        "PAIRS": "BTC-USD,BTC-EUR,ETH-USD,ETH-EUR",
        "LOG_FORMAT": "json",
        "MAX_CANDLE_AGE_SECONDS": "86400",
    }
    store = make_store(Settings.from_env(mongo_uri=mongo_uri, mongo_db=environment["MONGO_DB"]))
    candles = documented_candles()
    assert store.write(candles) == []
    store.close()
    with redis.Redis.from_url(redis_url) as client:
        _forget(client)
        live = LiveSide(client, 60)
        for candle in candles:
            live.publish(candle, encode_candle(candle))
        now = time.time_ns() // 1_000_000
        beat = FeedEvent("sim", EventKind.BEAT, FeedState.LIVE, since=now, at=now + 3_600_000, pairs=PAIRS, until=now)
        client.hset(FEEDS, "sim", encode_event(beat))
        with (
            running(REST, int(environment["REST_PORT"]), folder / "rest.log", **environment),
            running(WS, int(environment["WS_PORT"]), folder / "ws.log", **environment),
        ):
            yield environment
        _forget(client)
    with MongoClient[dict[str, Any]](mongo_uri) as mongo:
        mongo.drop_database(environment["MONGO_DB"])


def documented_candles() -> list[Candle]:
    """The candles that the examples show, and for each pair a minute of now, so that the data is fresh."""
    now = time.time_ns() // 60_000_000_000 * 60_000
    return [*shown_candles(), *(make_candle(timestamp=now, pair=pair) for pair in ("BTC-EUR", *PAIRS, "ETH-EUR"))]


def _forget(client: redis.Redis) -> None:
    for key in [*client.scan_iter("live:*"), FEEDS]:
        client.delete(key)


@pytest.mark.parametrize("request_", REQUESTS, ids=[each.target for each in REQUESTS])
def test_a_documented_request_is_answered_in_the_documented_shape(servers: dict[str, str], request_: Request) -> None:
    answer = httpx.get(f"http://127.0.0.1:{servers['REST_PORT']}{request_.target}", timeout=10)

    if request_.body is None:
        assert answer.status_code == 200
        return
    documented = shape(request_.body)
    assert same_shape(documented, shape(answer.text)), f"{documented}\n{shape(answer.text)}\n{answer.text[:500]}"
    if answer.headers["content-type"] == "application/problem+json":
        assert answer.json() == json.loads(request_.body)


@pytest.mark.parametrize(
    ("documented", "seen", "same"),
    [
        ('{"a":1}', '{"a":2.5}', True),
        ('{"a":1}', '{"a":"1"}', False),
        ('{"a":1}', '{"a":1,"b":2}', False),
        ('{"a":1,"b":2}', '{"b":1,"a":2}', False),
        ('[{"a":null}]', '[{"a":1},{"a":2}]', True),
        ("[1]", "[]", False),
        ("a,b\n1,2\n", "a,b\n3,4\n5,6\n", True),
        ("a,b\n1,2\n", "a,c\n3,4\n", False),
        ('{"a":1}\n{"a":2}\n', '{"b":1}\n{"b":2}\n', False),
    ],
)
def test_shapes_are_told_apart(documented: str, seen: str, same: bool) -> None:
    assert same_shape(shape(documented), shape(seen)) is same


def test_every_endpoint_has_an_example() -> None:
    shown = {request.target.partition("?")[0] for request in REQUESTS if request.body is None}

    assert {endpoint.path for endpoint in ENDPOINTS} - shown == {"/asyncapi.json"}


@pytest.fixture
def moving(servers: dict[str, str]) -> Iterator[None]:
    """A running minute that changes ten times a second, and its hour."""
    stop = threading.Event()

    def publish() -> None:
        with redis.Redis.from_url(servers["REDIS_URL"]) as client:
            live = LiveSide(client, 60)
            while not stop.wait(0.1):
                now_us = time.time_ns() // 1000
                candle = make_candle(
                    timestamp=now_us // 60_000_000 * 60_000, written_us=now_us, volume=Decimal(now_us).scaleb(-6)
                )
                for each in (candle, hour_of([candle])):
                    live.publish(each, encode_candle(each))

    thread = threading.Thread(target=publish)
    thread.start()
    yield
    stop.set()
    thread.join()


@pytest.mark.usefixtures("moving")
@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=[each.title for each in CONVERSATIONS])
def test_a_documented_conversation_goes_as_documented(servers: dict[str, str], conversation: Conversation) -> None:
    asyncio.run(_converse(f"ws://127.0.0.1:{servers['WS_PORT']}", conversation))


def test_lines_and_commands_have_examples() -> None:
    sent = [sent for conversation in CONVERSATIONS for sent, _ in conversation.turns]

    assert any(not text.startswith("{") for text in sent)
    assert {json.loads(text)["method"] for text in sent if text.startswith("{")} == {
        "subscribe",
        "unsubscribe",
        "list",
        "ping",
    }


async def _converse(url: str, conversation: Conversation) -> None:
    cursor = await _cursor(url)
    async with connect(url, proxy=None) as websocket:
        for sent, expected in conversation.turns:
            # A cursor is only good on the Redis that gave it out.
            await websocket.send(CURSOR.sub(f'"{cursor}"', sent))
            await _expect(websocket, list(expected))


async def _cursor(url: str) -> str:
    async with asyncio.timeout(10), connect(url, proxy=None) as websocket:
        await websocket.send('{"id":0,"method":"subscribe","params":{"pairs":["BTC-USD"],"snapshot":0}}')
        while True:
            frame = json.loads(await websocket.recv())
            if "result" in frame:
                return str(frame["result"]["cursor"])


async def _expect(websocket: ClientConnection, expected: list[str]) -> None:
    """Wait for a frame of each shape; others may come between them, and the order is that of the documentation."""
    seen: list[str] = []
    try:
        async with asyncio.timeout(10):
            for frame in expected:
                while True:
                    seen.append(str(await websocket.recv()))
                    if same_shape(shape(frame), shape(seen[-1])):
                        break
    except TimeoutError:
        pytest.fail(f"expected {expected}, received {seen}")
