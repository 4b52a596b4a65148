"""The whole system from outside: what the exchange sent is what clients get.

`SYSTEM_SECONDS` (default 25) sets how long each run follows the exchange before it is compared; CONTRIBUTING.md
says how the long runs are made.
"""

import itertools
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pymongo
import pytest
from websockets.sync.client import connect

from tests.system.kafka_log import newest_versions, read_events
from tests.system.simlog import Candles, closed_candles, updates
from tests.system.stack import PAIRS, Stack, parse_exact, running_stack, wait_until

SECONDS = float(os.environ.get("SYSTEM_SECONDS", "25"))
SIM_START = os.environ.get("SYSTEM_SIM_START", "-1h")
KEYS = ["_id", "close", "high", "low", "open", "pair", "timestamp", "volume"]
LINE_KEYS = ["pair", "timestamp", "open", "high", "low", "close", "volume"]

pytestmark = pytest.mark.timeout(300 + 2 * SECONDS)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A stack that follows one simulated market through both adapters."""
    settings = {"EXCHANGE": "sim,simkraken", "PAIRS": ",".join(PAIRS), "SIM_START": SIM_START, "SIM_SPEED": "60"}
    with running_stack("system", 2_000, **settings) as stack:
        yield stack


def stored(stack: Stack, exchange: str) -> Candles:
    """Every stored candle of an exchange, as REST tells it, page by page."""
    found: Candles = {}
    for pair in PAIRS:
        url: str | None = f"{stack.rest_url}/api/ohlcv?pair={pair}&exchange={exchange}"
        while url:
            answer = httpx.get(url, timeout=10)
            assert answer.status_code == 200, answer.text
            for row in parse_exact(answer.content):
                key = (pair, row["timestamp"])
                assert key not in found, f"{key} came twice"
                found[key] = tuple(row[name] for name in ("open", "high", "low", "close", "volume"))
            link = answer.links.get("next")
            url = str(httpx.URL(url).join(link["url"])) if link else None
    return found


def missing_or_wrong(expected: Candles, found: Candles) -> Candles:
    """The expected candles that are not stored with exactly these values."""
    return {key: values for key, values in expected.items() if found.get(key) != values}


def assert_stored(stack: Stack, expected: dict[str, Candles], seconds: float = 30) -> None:
    """Wait until every expected candle, by exchange, is in the store with exactly its values."""
    for exchange, candles in expected.items():
        assert candles, f"no closed candles of {exchange} to compare"
        differing: list[Candles] = []

        def equal(exchange: str = exchange, candles: Candles = candles, differing: list[Candles] = differing) -> bool:
            differing[:] = [missing_or_wrong(candles, stored(stack, exchange))]
            return not differing[0]

        try:
            wait_until(f"{exchange}: all closed candles are stored", equal, seconds=seconds, every=1)
        except AssertionError as error:
            raise AssertionError(
                f"{error}; {len(differing[0])} of {len(candles)}: {list(differing[0].items())[:5]}"
            ) from None


def closed_so_far(stack: Stack) -> dict[str, Candles]:
    """What the exchange closed until now, by our name of the exchange."""
    return {
        "sim": closed_candles(stack.sim_log, "blockchain"),
        "simkraken": closed_candles(stack.sim_log, "kraken"),
    }


def seen_of(stack: Stack, closed: dict[str, Candles]) -> dict[str, Candles]:
    """Leave out the candles of minutes that a gap event names as not seen."""
    gaps = gap_events(stack)
    return {
        exchange: {
            key: values
            for key, values in candles.items()
            if not any(gap["exchange"] == exchange and gap["from"] - 60_000 < key[1] < gap["to"] for gap in gaps)
        }
        for exchange, candles in closed.items()
    }


def gap_events(stack: Stack) -> list[dict[str, Any]]:
    """All gap events so far."""
    return [event for event in read_events(stack) if event["event"] == "gap"]


def documents_per_candle(stack: Stack) -> dict[int, int]:
    """How many candles have how many documents."""
    with pymongo.MongoClient[dict[str, object]](f"mongodb://127.0.0.1:{stack.port(27017)}") as client:
        identity = {name: f"${name}" for name in ("exchange", "pair", "interval", "timestamp")}
        groups = client["crypto-streams"]["candles"].aggregate([{"$group": {"_id": identity, "n": {"$sum": 1}}}])
        counts: dict[int, int] = {}
        for group in groups:
            number = int(str(group["n"]))
            counts[number] = counts.get(number, 0) + 1
        return counts


def test_rest_answers_with_the_documented_array_newest_first(stack: Stack) -> None:
    answer = httpx.get(f"{stack.rest_url}/api/ohlcv?pair=BTC-EUR&from=0&to=9999999999999")

    rows = parse_exact(answer.content)
    assert answer.headers["content-type"].startswith("application/json")
    assert rows
    assert [list(row) for row in rows] == [KEYS] * len(rows)
    times = [row["timestamp"] for row in rows]
    assert times == sorted(set(times), reverse=True)


def test_a_subscriber_gets_the_newest_candle_within_two_seconds(stack: Stack) -> None:
    with connect(stack.ws_url) as client:
        client.send("subscribe,BTC-USD")

        frame = parse_exact(client.recv(timeout=2))

    assert list(frame) == LINE_KEYS
    assert frame["pair"] == "BTC-USD"


def test_a_subscriber_sees_only_what_the_exchange_sent_and_never_an_older_candle(stack: Stack) -> None:
    received = []
    with connect(stack.ws_url) as client:
        client.send("subscribe,ETH-USD")
        for _ in range(40):
            received.append(parse_exact(client.recv(timeout=20)))

    sent = {
        (open_time, values) for pair, open_time, values in updates(stack.sim_log, "blockchain") if pair == "ETH-USD"
    }
    seen = [(row["timestamp"], tuple(row[name] for name in LINE_KEYS[2:])) for row in received]
    assert [each for each in seen if each not in sent] == []
    assert [each[0] for each in seen] == sorted(each[0] for each in seen)
    assert all(first != second for first, second in itertools.pairwise(seen))


def test_bad_input_gets_a_clear_error_and_costs_nothing_else(stack: Stack) -> None:
    statuses = {
        query: httpx.get(f"{stack.rest_url}/api/ohlcv?{query}").status_code
        for query in (
            "pair=BTC-USD&to=99999999999999999999",
            "pair[$ne]=1",
            "pair=BTC-USD&pair=ETH-USD",
            "pair=BTC-XXX",
            "pair=BTC-USD&from=-1",
            "pair=BTC-USD&colour=blue",
        )
    }
    with connect(stack.ws_url) as client:
        client.send("dance,BTC-USD")
        unknown_command = parse_exact(client.recv(timeout=2))
        client.send("subscribe,BTC-XXX")
        unknown_pair = parse_exact(client.recv(timeout=2))
        client.send("subscribe,BTC-USD")
        candle = parse_exact(client.recv(timeout=2))

    assert list(statuses.values()) == [400, 400, 400, 404, 400, 400], statuses
    assert unknown_command["error"]["code"] in ("bad_request", "unknown_method")
    assert unknown_pair["error"]["code"] == "unknown_pair"
    assert candle["pair"] == "BTC-USD"


def test_every_closed_candle_is_stored_once_with_exactly_its_values(stack: Stack) -> None:
    time.sleep(SECONDS)  # the length of the run is what is asked for, not a condition

    assert_stored(stack, closed_so_far(stack))

    assert documents_per_candle(stack).keys() == {1}
    assert gap_events(stack) == []


def test_both_adapters_yield_the_same_candles_from_the_same_market(stack: Stack) -> None:
    by_exchange = closed_so_far(stack)

    both = by_exchange["sim"].keys() & by_exchange["simkraken"].keys()

    assert len(both) > 100
    assert_stored(stack, {name: {key: by_exchange["sim"][key] for key in both} for name in by_exchange})


def test_each_process_may_be_killed_and_nothing_is_lost(stack: Stack) -> None:
    programs = [name for name in stack.pids() if name.startswith(("bridge", "workers", "ws", "rest"))]
    pause = SECONDS / 20

    for program in programs:
        stack.kill(program)
        time.sleep(pause)

    assert len(programs) == 9
    assert_stored(stack, closed_so_far(stack), seconds=60)
    assert documents_per_candle(stack).keys() == {1}
    assert gap_events(stack) == []


@pytest.mark.parametrize("program", ["ingest", "simulate"])
def test_after_a_kill_at_the_source_candles_flow_again_and_the_gap_is_known(stack: Stack, program: str) -> None:
    before = newest_versions(stack)
    newest_before = max(rev & (2**50 - 1) for rev, _ in before.values())
    killed_at_ms = int(time.time() * 1000)

    os.kill(stack.pids()[program], signal.SIGKILL)
    killed = time.monotonic()
    wait_until(
        "candles flow again",
        lambda: max(rev & (2**50 - 1) for rev, _ in newest_versions(stack).values()) > newest_before + 1_500_000,
        seconds=15,
        every=0.05,
    )
    took = time.monotonic() - killed

    def exchanges_with_a_new_gap() -> set[str]:
        return {gap["exchange"] for gap in gap_events(stack) if gap["at"] >= killed_at_ms}

    both = {"sim", "simkraken"}
    wait_until("each exchange's gap is known", lambda: exchanges_with_a_new_gap() == both, seconds=20)
    assert_stored(stack, seen_of(stack, closed_so_far(stack)))
    print(f"{program}: candles flow again after {took:.1f} s")


def test_the_store_holds_the_newest_version_of_all_that_kafka_acknowledged(stack: Stack) -> None:
    acknowledged = newest_versions(stack)

    def differing() -> list[object]:
        with pymongo.MongoClient[dict[str, object]](f"mongodb://127.0.0.1:{stack.port(27017)}") as client:
            held = {
                (row["exchange"], row["pair"], row["timestamp"]): row["rev"]
                for row in client["crypto-streams"]["candles"].find(
                    {"interval": "1m"}, {"exchange": 1, "pair": 1, "timestamp": 1, "rev": 1}
                )
            }
        return [key for key, (rev, _) in acknowledged.items() if int(str(held.get(key, -1))) < rev]

    wait_until("the store caught up", lambda: not differing(), seconds=30, every=1)


def test_a_second_make_up_changes_nothing(stack: Stack) -> None:
    before = stack.pids()

    stack.make("up")

    assert stack.pids() == before


def test_stopping_closes_clients_politely_and_loses_no_data(stack: Stack, tmp_path: Path) -> None:
    with connect(stack.ws_url) as client:
        client.send("subscribe,BTC-USD")
        client.recv(timeout=2)
        stack.make("down")
        closed_with = _close_code(client)
    left = stack.processes()
    expected = closed_so_far(stack)

    stack.make("up")

    assert closed_with == 1001
    assert left == []
    assert_stored(stack, seen_of(stack, expected))


def _close_code(client: object) -> int | None:
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import ClientConnection

    assert isinstance(client, ClientConnection)
    try:
        while True:
            client.recv(timeout=20)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None
