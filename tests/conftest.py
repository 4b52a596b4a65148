"""Fixtures for all tests: addresses of the real services, values, and a clock that tests turn.

The services are started by `make test`, which says where they are. Their absence is a failure, not a reason to skip.
"""

import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from ingest.candle import Candle, Interval, State
from ingest.revision import make_rev

#: 2020-11-23T21:17:00Z, a minute like any other.
MINUTE_MS = 1_606_166_220_000


def minute(number: int) -> int:
    """The open time of the numbered minute, Unix milliseconds."""
    return MINUTE_MS + number * 60_000


@dataclass
class FakeClock:
    """A clock that stands still until a test moves it."""

    unix_us: int = MINUTE_MS * 1000
    monotonic_seconds: float = 1000.0

    def now_us(self) -> int:
        """Unix time in microseconds."""
        return self.unix_us

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""
        return self.monotonic_seconds

    def advance(self, seconds: float) -> None:
        """Let both clocks run on."""
        self.unix_us += int(seconds * 1_000_000)
        self.monotonic_seconds += seconds


@pytest.fixture
def clock() -> FakeClock:
    """A fresh fake clock."""
    return FakeClock()


def make_candle(number: int = 0, *, state: State = State.OPEN, written_us: int | None = None, **fields: Any) -> Candle:
    """A valid candle of the numbered minute; ``written_us`` (Unix microseconds) sets the time in its ``rev``."""
    values: dict[str, Any] = {
        "exchange": "sim",
        "pair": "BTC-USD",
        "interval": Interval.M1,
        "timestamp": minute(number),
        "open": Decimal("18383.38"),
        "high": Decimal("18385.85"),
        "low": Decimal("18376.035"),
        "close": Decimal("18382.06"),
        "volume": Decimal("0.002185"),
        "state": state,
        "rev": make_rev(state.rank, (minute(number) * 1000 if written_us is None else written_us)),
    }
    return Candle(**(values | fields))


def _service(variable: str) -> str:
    address = os.environ.get(variable)
    if not address:
        pytest.fail(f"{variable} is not set: run the tests with `make test`, which starts the services", pytrace=False)
    return address


@pytest.fixture(scope="session")
def kafka_brokers() -> str:
    """A real Kafka."""
    return _service("TEST_KAFKA_BROKERS")


@pytest.fixture(scope="session")
def redis_url() -> str:
    """A real Redis; tests use keys of their own or flush it first."""
    return _service("TEST_REDIS_URL")


@pytest.fixture(scope="session")
def mongo_uri() -> str:
    """A real server that speaks MongoDB's protocol."""
    return _service("TEST_MONGO_URI")


@pytest.fixture
def database(mongo_uri: str) -> Iterator[str]:
    """The name of a database that this test alone uses, dropped afterwards."""
    from pymongo import MongoClient

    name = f"test-{uuid.uuid4().hex[:12]}"
    yield name
    with MongoClient[dict[str, Any]](mongo_uri) as client:
        client.drop_database(name)


@pytest.fixture
def make_topic(kafka_brokers: str) -> Iterator[Callable[[int], str]]:
    """A function that makes an empty topic with so many partitions; removed afterwards."""
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewTopic

    from ingest.kafka import client_config

    admin = AdminClient(client_config(kafka_brokers))
    made: list[str] = []

    def make(partitions: int = 1) -> str:
        name = f"test-{uuid.uuid4().hex[:12]}"
        for future in admin.create_topics([NewTopic(name, partitions, 1)]).values():
            future.result()
        made.append(name)
        return name

    yield make
    if made:
        for future in admin.delete_topics(made).values():
            future.result()
