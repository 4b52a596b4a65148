"""Asks the running system whether it works; run by the launcher with the virtual environment's Python.

    probe.py services --kafka HOST:PORT --redis URL --mongo URI
    probe.py candle --rest URL --ws URL --pair BTC-USD

Tries until it works or ``--seconds`` are over; then it writes what is still missing and exits with status 1. Imports
nothing of this package, because with containers it is fed to a Python inside of one.
"""

import argparse
import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable

ATTEMPT_SECONDS = 5.0
PAUSE_SECONDS = 0.25

Check = tuple[str, Callable[[], None]]


class NotYet(Exception):
    """Raised by a check; says what is missing."""


def main() -> int:
    """Run the checks of the command line one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["services", "candle"])
    for option in ("--kafka", "--redis", "--mongo", "--rest", "--ws", "--pair"):
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
    """REST has a candle of the pair, and the WebSocket server sends one."""

    def rest() -> None:
        query = urllib.parse.urlencode({"pair": options.pair, "limit": 1})
        try:
            with urllib.request.urlopen(f"{options.rest}/api/ohlcv?{query}", timeout=ATTEMPT_SECONDS) as answer:
                rows = json.load(answer)
        except urllib.error.HTTPError as error:
            raise NotYet(f"{options.rest} answers {error.code} for {options.pair}") from None
        except OSError as error:
            raise NotYet(f"{options.rest} does not answer: {getattr(error, 'reason', error)}") from None
        if not rows or rows[0].get("pair") != options.pair:
            raise NotYet(f"no candle of {options.pair} yet")

    def websocket() -> None:
        from websockets.sync.client import connect

        with connect(options.ws, open_timeout=ATTEMPT_SECONDS, close_timeout=1.0) as connection:
            connection.send(f"subscribe,{options.pair}")
            frame = json.loads(connection.recv(timeout=ATTEMPT_SECONDS))
        if frame.get("pair") != options.pair:
            raise NotYet(f"{options.ws} sends no candle of {options.pair}: {frame}")

    return [("REST", rest), ("WebSocket", websocket)]


if __name__ == "__main__":
    sys.exit(main())
