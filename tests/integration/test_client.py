"""The Python client on both servers as they run: history, live candles, and what survives when a server goes away."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, aclosing
from pathlib import Path
from typing import Any

import pytest
import redis

from ingest.candle import Candle, Interval, State
from ingest.codec import encode_candle
from tests.conftest import make_candle, minute
from tests.integration.test_ws import Publisher, client, publisher  # noqa: F401
from tests.integration.web_processes import REST, ROOT, WS, running
from tests.ports import free_port
from web.client import AsyncClient, Client, Refused, Unavailable, candles, pairs, stream
from web.client.finals import SETTLE_SECONDS
from workers.live import LiveSide
from workers.store import CandleStore

SECONDS = 30.0
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs/client.md").read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    """Settings of both servers."""
    return environment | {"WS_PORT": str(free_port()), "PAIRS": "BTC-USD,ETH-USD"}


class Servers:
    """Both servers, each of which can be ended and started again."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self._environment, self._folder = environment, folder
        self._running: dict[str, tuple[ExitStack, subprocess.Popen[bytes]]] = {}
        self.url = f"http://127.0.0.1:{environment['REST_PORT']}"
        self.ws_url = f"ws://127.0.0.1:{environment['WS_PORT']}"

    @property
    def urls(self) -> dict[str, Any]:
        return {"url": self.url, "ws_url": self.ws_url}

    def start(self, name: str) -> None:
        command, port = (REST, "REST_PORT") if name == "rest" else (WS, "WS_PORT")
        stack = ExitStack()
        log = self._folder / f"{name}.log"
        process = stack.enter_context(running(command, int(self._environment[port]), log, **self._environment))
        self._running[name] = stack, process

    def stop(self, name: str, *, kill: bool = False) -> None:
        stack, process = self._running.pop(name)
        if kill:
            process.send_signal(signal.SIGKILL)
            process.wait()
        stack.close()

    def stop_all(self) -> None:
        for name in list(self._running):
            self.stop(name)


@pytest.fixture
def servers(environment: dict[str, str], client: redis.Redis, tmp_path: Path) -> Iterator[Servers]:  # noqa: F811
    made = Servers(environment, tmp_path)
    made.start("rest")
    made.start("ws")
    yield made
    made.stop_all()


class Heard:
    """What a stream told so far."""

    def __init__(self, source: AsyncIterator[Candle]) -> None:
        self._source = source
        self.candles: list[Candle] = []
        self._changed = asyncio.Condition()
        self._task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for candle in self._source:
            async with self._changed:
                self.candles.append(candle)
                self._changed.notify_all()

    async def until(self, condition: Callable[[list[Candle]], bool]) -> list[Candle]:
        """What was told, once it fulfils the condition; fails with it if that takes too long."""
        try:
            async with asyncio.timeout(SECONDS), self._changed:
                await self._changed.wait_for(lambda: condition(self.candles))
        except TimeoutError:
            pytest.fail(f"told: {[(each.timestamp, each.state.value, each.rev) for each in self.candles]}")
        return self.candles

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


def listening(servers: Servers, **options: Any) -> Heard:
    return Heard(stream(["BTC-USD"], **servers.urls, **options))


def newest_of(told: list[Candle]) -> dict[int, Candle]:
    """By open time the last version told, provided that revs only rose."""
    newest: dict[int, Candle] = {}
    for candle in told:
        held = newest.get(candle.timestamp)
        assert held is None or held.rev < candle.rev, (held, candle)
        newest[candle.timestamp] = candle
    return newest


def test_history_is_read_page_by_page_oldest_first(servers: Servers, store: CandleStore) -> None:
    stored = [make_candle(number, state=State.FINAL) for number in range(7)] + [make_candle(7)]
    assert store.write(stored) == []

    async def asynchronously() -> tuple[list[Candle], list[Candle]]:
        async with AsyncClient(servers.url) as api:
            return (
                await api.candles("BTC-USD", since=minute(2), until=minute(5)),
                [each async for each in api.iter_candles("BTC-USD", page_size=2)],
            )

    with Client(servers.url) as api:
        paged = list(api.iter_candles("BTC-USD", page_size=3))
        finals = api.candles("BTC-USD", finals_only=True)

    assert paged == stored
    assert finals == stored[:7]
    assert candles("BTC-USD", limit=3, url=servers.url) == stored[5:]
    assert asyncio.run(asynchronously()) == (stored[2:6], stored)
    known = {(each.pair, each.interval): (each.earliest, each.newest) for each in pairs(servers.url)}
    assert known["BTC-USD", Interval.M1] == (minute(0), minute(7))


def test_what_the_server_refuses_is_its_own_sentence(servers: Servers) -> None:
    with pytest.raises(Refused, match="pair XXX-USD is not known: expected one of those that /api/pairs lists for sim"):
        candles("XXX-USD", url=servers.url)

    async def follow() -> None:
        async for _ in stream(["BTC-USD", "XXX-USD"], **servers.urls):
            pass

    async def within_time() -> None:
        async with asyncio.timeout(SECONDS):
            await follow()

    with pytest.raises(Refused, match="'XXX-USD' is not a pair of sim"):
        asyncio.run(within_time())


def test_a_server_that_is_not_there_is_said_to_be_so() -> None:
    url = f"http://127.0.0.1:{free_port()}"

    with pytest.raises(Unavailable, match=f"{url} does not answer: "), Client(url, attempts=2) as api:
        api.pairs()


def test_history_joins_the_live_side_without_a_hole_or_a_repeat(
    servers: Servers,
    store: CandleStore,
    publisher: Publisher,  # noqa: F811
) -> None:
    stored = [publisher.make(number, state=State.FINAL) for number in range(-100, 0)]
    assert store.write(stored) == []
    running_minute = publisher.publish()

    async def scenario() -> list[Candle]:
        heard = listening(servers, since=stored[5].timestamp)
        await heard.until(lambda told: running_minute in told)
        change = publisher.publish()
        told = await heard.until(lambda told: change in told)
        await heard.end()
        assert told[-1] == change
        return told[:-1]

    assert asyncio.run(scenario()) == [*stored[5:], running_minute]


def test_what_the_store_does_not_have_yet_comes_from_the_live_side(
    servers: Servers,
    store: CandleStore,
    publisher: Publisher,  # noqa: F811
) -> None:
    stored = [publisher.make(number, state=State.FINAL) for number in range(-20, -5)] + [publisher.make(-5)]
    assert store.write(stored) == []
    live = [publisher.publish(number, state=State.FINAL) for number in range(-5, 0)] + [publisher.publish()]

    async def scenario() -> dict[int, Candle]:
        heard = listening(servers, since=stored[0].timestamp)
        told = await heard.until(lambda told: live[-1] in told)
        await heard.end()
        return newest_of(told)

    assert list(asyncio.run(scenario()).values()) == [*stored[:-1], *live]


def test_what_comes_into_the_store_alone_is_read_a_while_later(
    servers: Servers,
    store: CandleStore,
    publisher: Publisher,  # noqa: F811
) -> None:
    stored = [publisher.make(number, state=State.FINAL) for number in range(-20, -5)]
    assert store.write(stored) == []
    late = [publisher.make(number, state=State.FINAL) for number in range(-5, 0)]
    running_minute = publisher.publish()

    async def scenario() -> list[Candle]:
        heard = listening(servers, since=stored[0].timestamp, settle_seconds=3.0)
        await heard.until(lambda told: running_minute in told)
        assert store.write(late) == []
        told = await heard.until(lambda told: late[-1] in told)
        await heard.end()
        return told

    assert asyncio.run(scenario()) == [*stored, running_minute, *late]


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
def test_what_changed_while_the_server_was_away_comes_with_the_next_connection(
    servers: Servers,
    store: CandleStore,
    publisher: Publisher,  # noqa: F811
    kill: bool,
) -> None:
    async def scenario() -> dict[int, Candle]:
        heard = listening(servers)
        first = publisher.publish()
        await heard.until(lambda told: first in told)
        await asyncio.to_thread(servers.stop, "ws", kill=kill)
        closed, following = publisher.publish(state=State.FINAL), publisher.publish(1)
        await asyncio.to_thread(servers.start, "ws")
        await heard.until(lambda told: {closed.rev, following.rev} <= {each.rev for each in told})
        change = publisher.publish(1)
        told = await heard.until(lambda told: change in told)
        await heard.end()
        assert closed in told
        return newest_of(told) | {-1: change}

    newest = asyncio.run(scenario())
    assert newest.pop(-1) in newest.values()


def test_what_the_live_side_forgot_is_read_over_rest(
    servers: Servers,
    store: CandleStore,
    publisher: Publisher,  # noqa: F811
) -> None:
    async def scenario() -> None:
        heard = listening(servers)
        first = publisher.publish()
        await heard.until(lambda told: first in told)
        await asyncio.to_thread(servers.stop, "ws")
        publisher.client.flushdb()
        # Only the store has this one.
        closed = publisher.make(state=State.FINAL)
        assert store.write([closed]) == []
        publisher.publish(1)
        await asyncio.to_thread(servers.start, "ws")
        told = await heard.until(lambda told: closed in told)
        await heard.end()
        newest_of(told)

    asyncio.run(scenario())


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
def test_finals_come_once_and_in_order_while_servers_come_and_go(
    servers: Servers,
    store: CandleStore,
    publisher: Publisher,  # noqa: F811
    kill: bool,
) -> None:
    published: list[Candle] = []

    def close(number: int, *, stored: bool = True, told: bool = True) -> None:
        final = publisher.publish(number, state=State.FINAL) if told else publisher.make(number, state=State.FINAL)
        published.append(final)
        if stored:
            assert store.write([final]) == []

    async def scenario() -> list[Candle]:
        close(-2)
        close(-1)
        heard = listening(servers, finals_only=True, since=publisher.opens(-2, published[0].interval))
        await heard.until(lambda told: len(told) == 2)
        close(0)
        publisher.publish(1)
        await heard.until(lambda told: len(told) == 3)
        await asyncio.to_thread(servers.stop, "ws", kill=kill)
        close(1)
        # The fan-out lost this one.
        close(2, told=False)
        await asyncio.to_thread(servers.start, "ws")
        close(3)
        await heard.until(lambda told: len(told) == 6)
        await asyncio.to_thread(servers.stop, "rest", kill=kill)
        # The store is behind with the first, and the live side never tells it.
        close(4, stored=False, told=False)
        close(5)
        await asyncio.to_thread(servers.start, "rest")
        assert store.write([published[-2]]) == []
        close(6)
        told = await heard.until(lambda told: published[-1] in told)
        await heard.end()
        return told

    told = asyncio.run(scenario())

    assert told == sorted(published, key=lambda each: each.timestamp)


def test_finals_from_before_the_history_begins_wait_for_nothing(
    servers: Servers,
    store: CandleStore,
    publisher: Publisher,  # noqa: F811
) -> None:
    stored = [publisher.make(number, state=State.FINAL) for number in range(-70, 0)]
    assert store.write(stored) == []

    async def scenario() -> list[Candle]:
        # It would be a minute, for the hole before the first; `until` waits for half of that.
        heard = listening(servers, finals_only=True, since=0)
        told = await heard.until(lambda told: len(told) == len(stored))
        await heard.end()
        return told

    assert SECONDS < SETTLE_SECONDS
    assert asyncio.run(scenario()) == stored


def test_leaving_the_loop_closes_the_connection(
    servers: Servers,
    publisher: Publisher,  # noqa: F811
) -> None:
    async def scenario() -> int:
        publisher.publish()
        before = len(asyncio.all_tasks())
        async with asyncio.timeout(SECONDS), aclosing(stream(["BTC-USD"], **servers.urls)) as live:
            async for _ in live:
                break
        return len(asyncio.all_tasks()) - before

    assert asyncio.run(scenario()) == 0


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_a_documented_example_runs(
    servers: Servers,
    environment: dict[str, str],
    store: CandleStore,
    client: redis.Redis,  # noqa: F811
    number: int,
) -> None:
    now_ms = time.time_ns() // 60_000_000_000 * 60_000
    shown = [make_candle(each, state=State.FINAL) for each in range(3)] + [make_candle(timestamp=now_ms)]
    assert store.write(shown) == []
    for candle in shown:
        LiveSide(client, 60).publish(candle, encode_candle(candle))
    program = EXAMPLES[number].replace("http://127.0.0.1:8080", servers.url)
    program = program.replace("ws://127.0.0.1:3004", servers.ws_url)

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert "18382.06" in done.stdout


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 5
