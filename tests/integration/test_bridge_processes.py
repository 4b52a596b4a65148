"""Bridges and workers as the processes that supervisors start."""

import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable

import psutil
import pytest
from confluent_kafka import Producer
from pymongo import MongoClient

from ingest.codec import encode_candle
from ingest.kafka import client_config
from ingest.topics import CANDLES, ensure_topics
from tests.chaos.proxy import Mode, Proxies
from tests.conftest import make_candle
from tests.integration.bridge_bench import BridgeBench, topics_for, wait_until
from tests.integration.programs import ROOT, Programs, lives, workers_command
from tests.ports import free_port
from workers.broker import make_broker


@pytest.fixture
def environment(program_environment: dict[str, str]) -> dict[str, str]:
    """Settings of a process, with services of this test's own."""
    return program_environment


@pytest.fixture
def start(programs: Programs) -> Callable[..., subprocess.Popen[bytes]]:
    """A function that starts a program and returns once its ``/livez`` answers."""
    return programs.start


def exit_status(process: subprocess.Popen[bytes]) -> tuple[int, bool]:
    """What SIGTERM makes of it: exit status, and whether that took less than 15 seconds."""
    began_at = time.monotonic()
    process.send_signal(signal.SIGTERM)
    status = process.wait(30)
    return status, time.monotonic() - began_at < 15


@pytest.mark.parametrize("policy", ["persist", "fanout"])
def test_a_bridge_ends_cleanly_on_sigterm(
    policy: str, start: Callable[..., subprocess.Popen[bytes]], kafka_brokers: str
) -> None:
    ensure_topics(kafka_brokers)

    process = start(sys.executable, "-m", "workers", "bridge", policy)

    assert exit_status(process) == (0, True)


def test_a_bridge_that_waits_for_kafka_ends_cleanly_on_sigterm(start: Callable[..., subprocess.Popen[bytes]]) -> None:
    process = start(sys.executable, "-m", "workers", "bridge", "persist", KAFKA_BROKERS="127.0.0.1:1")

    assert exit_status(process) == (0, True)


@pytest.mark.parametrize("command", [("bridge", "persist")])
def test_a_bad_setting_stops_the_start_with_one_line(command: tuple[str, ...], environment: dict[str, str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "workers", *command],
        cwd=ROOT,
        env=environment | {"REDIS_URL": "nonsense"},
        capture_output=True,
        timeout=30,
        check=False,
    )

    assert ended.returncode == 2
    assert (
        ended.stderr.decode() == "REDIS_URL='nonsense': expected redis://host:port/database, rediss://… or unix://…\n"
    )


def test_a_worker_program_ends_cleanly_on_sigterm(start: Callable[..., subprocess.Popen[bytes]]) -> None:
    process = start(*workers_command("fanout"))

    assert exit_status(process) == (0, True)


@pytest.mark.parametrize("signals", [1, 2])
@pytest.mark.parametrize("silent", ["MONGO_URI", "REDIS_URL"])
def test_bridge_and_workers_leave_in_time_while_a_service_is_silent(
    silent: str,
    signals: int,
    start: Callable[..., subprocess.Popen[bytes]],
    environment: dict[str, str],
    kafka_brokers: str,
    mongo_uri: str,
    database: str,
) -> None:
    ensure_topics(kafka_brokers)
    producer = Producer(client_config(kafka_brokers))
    head, _, tail = environment[silent].rpartition(":")
    target, _, path = tail.partition("/")
    port, health_port = free_port(), str(free_port())
    behind_proxy = {silent: f"{head}:{port}/{path}"}
    with Proxies() as proxies, MongoClient[dict[str, object]](mongo_uri) as client:
        proxies.add(silent, port, int(target))
        workers = start(*workers_command("persist"), **behind_proxy)
        bridge = start(
            sys.executable, "-m", "workers", "bridge", "persist", **behind_proxy, **{"HEALTH_PORT": health_port}
        )
        _produce(producer, 0)
        wait_until(lambda: client[database].candles.find_one(), "a candle is stored")
        proxies.set(silent, Mode.BLACK_HOLE)
        _produce(producer, 1)
        wait_until(lambda: _in_flight(health_port), "a batch is under way")

        took = _stop_all([bridge, workers], signals)

    assert max(took) < 15
    assert bridge.returncode == 0


def _produce(producer: Producer, number: int) -> None:
    producer.produce(CANDLES, encode_candle(make_candle(number, written_us=time.time_ns() // 1000)), b"sim|BTC-USD|1m")
    assert producer.flush(10) == 0


def _in_flight(health_port: str) -> bool:
    with urllib.request.urlopen(f"http://127.0.0.1:{health_port}/metrics", timeout=5) as answer:
        # The completion of the first one may have been lost, too: then it is two.
        return re.search(rb'^bridge_inflight_batches{bridge="persist"} [1-9]', answer.read(), re.MULTILINE) is not None


def _stop_all(processes: list[subprocess.Popen[bytes]], signals: int) -> list[float]:
    """SIGTERM to all, so often, a second apart; returns how long each took."""
    began_at = time.monotonic()
    for number in range(signals):
        for process in processes:
            process.send_signal(signal.SIGTERM)
        if number + 1 < signals:
            time.sleep(1.0)  # an operator's patience: what matters is that the first one is being worked on
    took = []
    for process in processes:
        process.wait(30)
        took.append(time.monotonic() - began_at)
    return took


def test_a_worker_ends_when_its_parent_was_killed(start: Callable[..., subprocess.Popen[bytes]]) -> None:
    process = start(*workers_command("persist"))
    children = psutil.Process(process.pid).children()

    process.kill()
    process.wait()

    gone, alive = psutil.wait_procs(children, timeout=10)
    assert (len(gone), alive) == (1, [])


def test_a_worker_takes_over_the_health_port_of_one_that_was_killed(
    start: Callable[..., subprocess.Popen[bytes]], environment: dict[str, str]
) -> None:
    first = start(*workers_command("persist"))
    second = start(*workers_command("persist"))

    wait_until(lambda: psutil.Process(second.pid).children(), "the second program's worker")
    (child,) = psutil.Process(second.pid).children()

    first.kill()
    first.wait()

    wait_until(lambda: _listens(child, int(environment["HEALTH_PORT"])), "the second takes the port")
    wait_until(lambda: lives(environment), "/livez of the second")


def _listens(process: psutil.Process, port: int) -> bool:
    return any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in process.net_connections("tcp"))


def test_a_killed_worker_loses_no_candle(
    start: Callable[..., subprocess.Popen[bytes]],
    environment: dict[str, str],
    redis_url: str,
    mongo_uri: str,
    kafka_brokers: str,
    database: str,
    make_topic: Callable[[int], str],
) -> None:
    bench = BridgeBench(kafka_brokers, redis_url, mongo_uri, database, topics_for(make_topic))
    candles = [make_candle(number) for number in range(10_000)]
    try:
        process = start(*workers_command("persist"))
        bench.start_bridge(broker=make_broker(environment["REDIS_URL"], retries=1))
        bench.produce_candles(candles)
        wait_until(lambda: bench.mongo[database].candles.find_one(), "the first candles")

        (child,) = psutil.Process(process.pid).children()
        child.send_signal(signal.SIGKILL)
        process.wait(15)
        start(*workers_command("persist"))

        bench.wait_stored(candles)
        bench.wait_committed([5000, 5000])
    finally:
        bench.close()
