"""Asks the running system whether it works; run by the launcher with the virtual environment's Python.

    probe.py services --kafka HOST:PORT --redis URL --mongo URI
    probe.py candle --rest URL --ws URL --exchange sim --pairs BTC-USD,ETH-USD

Tries until it works or ``--seconds`` are over; then it writes what is still missing and exits with status 1. Having
found a candle it writes the pair. Imports nothing of this package, because with containers it is fed to a Python
inside of one.
"""

import argparse
import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

ATTEMPT_SECONDS = 5.0
PAUSE_SECONDS = 0.25
#: Fewer than a client may have, and than it may ask for at once.
MOST_SUBSCRIPTIONS = 10
#: Newest candles that are this much older than another pair's are an earlier run's.
FRESH_MS = 600_000

Check = tuple[str, Callable[[], None]]


class NotYet(Exception):
    """Raised by a check; says what is missing."""


def main() -> int:
    """Run the checks of the command line one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["services", "candle"])
    for option in ("--kafka", "--redis", "--mongo", "--rest", "--ws", "--exchange", "--pairs"):
        parser.add_argument(option, default="")
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    deadline = time.monotonic() + options.seconds
    checks = services(options) if options.what == "services" else candle(options)
    for name, check in checks:
        problem = attempt(check, deadline)
        if problem:
            print(f"{name}: {problem}", flush=True)
            return 1
    return 0


def attempt(check: Callable[[], None], deadline: float) -> str | None:
    """Repeat the check until it passes; return what was missing at the deadline, or None."""
    while True:
        try:
            check()
        except Exception as error:
            if time.monotonic() > deadline:
                return str(error).splitlines()[0] if str(error) else type(error).__name__
            time.sleep(PAUSE_SECONDS)
        else:
            return None


def services(options: argparse.Namespace) -> list[Check]:
    """Kafka names its brokers, Redis answers, and the MongoDB-compatible server reaches its storage."""

    def kafka() -> None:
        from confluent_kafka.admin import AdminClient

        # Errors reach us as exceptions; librdkafka's own lines would only repeat them.
        client = AdminClient({"bootstrap.servers": options.kafka, "log_level": 0})
        if not client.list_topics(timeout=ATTEMPT_SECONDS).brokers:
            raise NotYet(f"no broker at {options.kafka}")

    def redis() -> None:
        from redis import Redis

        with Redis.from_url(options.redis, socket_timeout=ATTEMPT_SECONDS) as client:
            client.ping()

    def mongo() -> None:
        from pymongo import MongoClient

        with MongoClient[dict[str, object]](options.mongo, timeoutMS=int(ATTEMPT_SECONDS * 1000)) as client:
            client.list_database_names()

    wanted = {"Kafka": (options.kafka, kafka), "Redis": (options.redis, redis), "MongoDB": (options.mongo, mongo)}
    return [(name, check) for name, (address, check) in wanted.items() if address]


def candle(options: argparse.Namespace) -> list[Check]:
    """REST has a candle of one of the pairs, and the WebSocket server sends one; its pair is written."""

    def rest() -> None:
        pair = pairs_with_candles(options)[0]
        query = urllib.parse.urlencode({"pair": pair, "limit": 1})
        if not fetch(f"{options.rest}/api/ohlcv?{query}"):
            raise NotYet(f"{options.rest} has no candle of {pair}")

    def websocket() -> None:
        # Asked for again: what comes first over WebSocket need not be what REST had first.
        print(first_sent(options.ws, pairs_with_candles(options)), flush=True)

    return [("REST", rest), ("WebSocket", websocket)]


def pairs_with_candles(options: argparse.Namespace) -> list[str]:
    """Those of the pairs that have candles in the store: in the order asked for, but what stands still comes last.

    Raises:
        NotYet: If none has.
    """
    wanted = options.pairs.split(",")
    rows = [
        (row["newest"], row["pair"])
        for row in fetch(f"{options.rest}/api/pairs")
        if row["exchange"] == options.exchange and row["pair"] in wanted and row["newest"] is not None
    ]
    if not rows:
        raise NotYet(f"no candle of {options.pairs} yet")
    newest = max(rows)[0]
    return [pair for _, pair in sorted(rows, key=lambda row: (row[0] < newest - FRESH_MS, wanted.index(row[1])))]


def fetch(url: str) -> Any:
    """What the address answers, parsed.

    Raises:
        NotYet: If it does not answer, or with an error.
    """
    try:
        with urllib.request.urlopen(url, timeout=ATTEMPT_SECONDS) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise NotYet(f"{url} answers {error.code}") from None
    except OSError as error:
        raise NotYet(f"{url} does not answer: {getattr(error, 'reason', error)}") from None


def first_sent(url: str, pairs: list[str]) -> str:
    """Subscribe to some of the pairs and return the one that a candle comes of first.

    Raises:
        NotYet: If none comes in time.
    """
    from websockets.sync.client import connect

    deadline = time.monotonic() + ATTEMPT_SECONDS
    said = "nothing"
    with connect(url, open_timeout=ATTEMPT_SECONDS, close_timeout=1.0) as connection:
        for pair in pairs[:MOST_SUBSCRIPTIONS]:
            connection.send(f"subscribe,{pair}")
        while (left := deadline - time.monotonic()) > 0:
            try:
                said = str(connection.recv(timeout=left))
            except TimeoutError:
                break
            if (pair := json.loads(said).get("pair")) in pairs:
                return str(pair)
    raise NotYet(f"{url} sends no candle of {', '.join(pairs[:MOST_SUBSCRIPTIONS])}, but {said}")


if __name__ == "__main__":
    sys.exit(main())
