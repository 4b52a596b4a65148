"""What running programs say of themselves, through a real Redis."""

import signal
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import pytest
import redis
from confluent_kafka import Producer

from ingest.codec import encode_candle
from ingest.kafka import client_config
from ingest.topics import CANDLES, DEAD_LETTERS, ensure_topics
from tests.conftest import make_candle
from tests.integration.bridge_bench import wait_until
from tests.integration.programs import Programs, workers_command
from tests.integration.tcp_forwarder import Forwarder
from tests.ports import free_port
from workers import presence
from workers.presence import FORGOTTEN_AFTER_MS, PROGRAMS, Presence, Program, read_programs, redis_now_ms


@dataclass
class Watched:
    """A Redis whose programs are looked at."""

    client: "redis.Redis"

    def heard(self) -> dict[str, Program]:
        return {each.program: each for each in read_programs(self.client)}


@pytest.fixture
def watched(program_environment: dict[str, str]) -> Iterator[Watched]:
    """The live side of the programs of this test."""
    with redis.Redis.from_url(program_environment["REDIS_URL"]) as client:
        yield Watched(client)


def count_clients(program: Program) -> None:
    program.clients = 3


def test_a_program_is_heard_until_it_ends(watched: Watched) -> None:
    with Presence("ws", watched.client, count_clients):
        wait_until(lambda: "ws" in watched.heard(), "it is heard")
        said = watched.heard()["ws"]

    assert (said.clients, said.started <= said.at <= redis_now_ms(watched.client)) == (3, True)
    assert watched.heard() == {}


def test_who_has_been_silent_for_long_is_forgotten(watched: Watched) -> None:
    now = redis_now_ms(watched.client)
    gone, silent = (Program(uuid.uuid4().hex, f"host:{n}", now, now - n) for n in (FORGOTTEN_AFTER_MS + 1, 60_000))
    for each in (gone, silent):
        watched.client.hset(PROGRAMS, each.field, msgspec.json.encode(each))
    watched.client.hset(PROGRAMS, "host:strange", b"\xff{")

    with Presence("ws", watched.client):
        wait_until(lambda: gone.program not in watched.heard(), "it is forgotten")
        assert silent.program in watched.heard()


def test_it_is_heard_again_after_redis_was_away(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "BEAT_SECONDS", 0.05)
    server = watched.client.get_connection_kwargs()
    with Forwarder((str(server["host"]), int(server["port"]))) as forwarder:
        forwarder.open()
        with redis.Redis(port=forwarder.port, db=server["db"]) as client, Presence("ws", client):
            wait_until(lambda: "ws" in watched.heard(), "it is heard")
            forwarder.cut()
            watched.client.delete(PROGRAMS)
            forwarder.open()
            wait_until(lambda: "ws" in watched.heard(), "it is heard again")


def test_a_bridge_is_heard_while_kafka_is_away(watched: Watched, programs: Programs) -> None:
    programs.start(sys.executable, "-m", "workers", "bridge", "persist", KAFKA_BROKERS="127.0.0.1:1")

    wait_until(lambda: "bridge-persist" in watched.heard(), "it is heard")

    said = watched.heard()["bridge-persist"]
    assert (said.partitions, said.lag, said.dead_letters) == (None, None, None)


def test_bridges_and_workers_say_how_they_are(
    watched: Watched, programs: Programs, program_environment: dict[str, str]
) -> None:
    brokers = program_environment["KAFKA_BROKERS"]
    ensure_topics(brokers)
    producer = Producer(client_config(brokers))
    producer.produce(DEAD_LETTERS, b"{", b"sim|BTC-USD|1m")
    producer.produce(CANDLES, encode_candle(make_candle()), b"sim|BTC-USD|1m")
    assert producer.flush(10) == 0

    bridge = programs.start(sys.executable, "-m", "workers", "bridge", "persist")
    workers = programs.start(*workers_command("persist"), HEALTH_PORT=str(free_port()))
    wait_until(lambda: watched.heard().keys() == {"bridge-persist", "workers-persist"}, "both are heard")
    wait_until(lambda: watched.heard()["bridge-persist"].assigned == 8, "every partition is assigned")
    wait_until(lambda: watched.heard()["bridge-persist"].lag == 0, "nothing is left to do")
    said = watched.heard()["bridge-persist"]
    bridge.send_signal(signal.SIGTERM)
    workers.send_signal(signal.SIGTERM)
    statuses = bridge.wait(30), workers.wait(30)

    assert said.dead_letters is not None
    assert said.dead_letters >= 1
    assert said.partitions == 8
    assert (said.in_flight, said.paused, said.without_workers) == (0, False, False)
    assert (statuses, watched.heard()) == ((0, 0), {})
