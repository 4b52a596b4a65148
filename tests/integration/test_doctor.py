"""`python -m workers doctor` on real services: each of them well, and each broken in turn."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.cimpl import NewTopic
from pymongo import MongoClient

from ingest.codec import encode_candle
from ingest.kafka import client_config, make_admin
from ingest.topics import CANDLES, DEAD_LETTERS, FEEDS
from tests.conftest import make_candle
from tests.integration.commands import ROOT, Ended, run, run_on_terminal
from tests.integration.kafka_log import empty_topics
from tests.integration.tcp_forwarder import Forwarder
from tests.integration.web_processes import REST, WS, running, wait_until
from tests.ports import free_port
from workers.broker import NAMESPACE
from workers.dead_letters import DeadLetters
from workers.doctor.bridges import find_in_bridges
from workers.doctor.findings import Finding, Verdict
from workers.doctor.kafka import find_in_kafka, find_in_topic
from workers.doctor.redis_server import find_in_redis
from workers.documents import Document
from workers.policies import PERSIST
from workers.settings import Settings
from workers.store import make_store
from workers.watermark import Letter

_COLOUR = re.compile(r"\x1b\[(?:[0-9]+;)*(?:3[0-7]|9[0-7])m")
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
DAY_MS = 86_400_000
REDIS_DATABASE = 8


@pytest.fixture
def environment(kafka_brokers: str, redis_url: str, mongo_uri: str, database: str) -> Iterator[dict[str, str]]:
    """Settings of the doctor; the topics hold nothing, and nobody listens on the servers' ports."""
    empty_topics(kafka_brokers)
    url = f"{redis_url.rsplit('/', 1)[0]}/{REDIS_DATABASE}"
    services = {"KAFKA_BROKERS": kafka_brokers, "REDIS_URL": url, "MONGO_URI": mongo_uri, "MONGO_DB": database}
    ports = {"REST_PORT": str(free_port()), "WS_PORT": str(free_port())}
    inherited = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "HEALTH_PORT")}
    with redis.Redis.from_url(url) as client:
        client.flushdb()
        yield inherited | services | ports
        client.flushdb()


@pytest.fixture
def servers(environment: dict[str, str], tmp_path: Path) -> Iterator[None]:
    """REST and WebSocket, with a candle in the store, so that its collections are there."""
    store = make_store(Settings.from_env(mongo_uri=environment["MONGO_URI"], mongo_db=environment["MONGO_DB"]))
    assert store.write([make_candle()]) == []
    store.advance_watermark("test", 1)
    store.close()
    with (
        running(REST, int(environment["REST_PORT"]), tmp_path / "rest.log", **environment),
        running(WS, int(environment["WS_PORT"]), tmp_path / "ws.log", **environment),
    ):
        yield


def look(environment: dict[str, str], *words: str) -> tuple[int, dict[str, tuple[str, str, str | None]]]:
    """The exit status, and of each subject the verdict, what was found and the advice."""
    ended = run(environment, "doctor", "--json", *words)
    return ended.status, findings_of(ended)


def findings_of(ended: Ended) -> dict[str, tuple[str, str, str | None]]:
    *findings, summary = ended.lines
    verdicts = [each["verdict"] for each in findings]
    assert {name: summary[name] for name in ("ok", "warning", "broken")} == {
        name: verdicts.count(name) for name in ("ok", "warning", "broken")
    }
    assert summary["result"] == ("broken" if "broken" in verdicts else "working")
    assert all((each["advice"] is None) == (each["verdict"] == "ok") for each in findings)
    assert summary["seconds"] < 15
    return {each["subject"]: (each["verdict"], each["found"], each["advice"]) for each in findings}


def faults(findings: dict[str, tuple[str, str, str | None]]) -> dict[str, str]:
    """What is not ok, and how it is."""
    return {subject: verdict for subject, (verdict, *_) in findings.items() if verdict != "ok"}


ALL = {
    "settings",
    *("rest", "websocket"),
    *("kafka", "topic candles", "topic feeds", "topic candles.dlq"),
    *("bridge persist", "bridge fanout", "bridge rollup", "bridge rollup-live", "dead letters"),
    *("redis", "redis memory", "redis on disk", "redis permissions", "redis clock", "failed jobs"),
    *("mongodb", "mongodb permissions", "mongodb clock"),
}
NO_SERVERS = {"rest": "warning", "websocket": "warning"}


# -- what is well -----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("servers")
def test_where_everything_is_well_it_says_so_and_leaves_nothing_behind(environment: dict[str, str]) -> None:
    with redis.Redis.from_url(environment["REDIS_URL"]) as client, MongoClient[Document](environment["MONGO_URI"]) as m:

        def everything() -> tuple[Any, ...]:
            db = m[environment["MONGO_DB"]]
            documents = {name: list(db[name].find()) for name in sorted(db.list_collection_names())}
            topics = make_admin(environment["KAFKA_BROKERS"]).list_topics(timeout=10).topics
            # Kafka's own come to be when it is first asked about a group.
            return sorted(client.keys()), documents, {name for name in topics if not name.startswith("__")}

        before = everything()
        # Where it is another time than in the services' answers.
        status, findings = look(environment | {"TZ": "XXX-9"})
        after = everything()

    assert faults(findings) == {}
    assert (status, set(findings)) == (0, ALL)
    assert after == before
    assert findings["rest"][1] == f"http://127.0.0.1:{environment['REST_PORT']}/readyz answers 200"
    assert findings["mongodb permissions"][1] == "wrote, read and removed a document in candles, series, watermarks"
    assert findings["topic candles"][1] == "8 partitions, 1 replica, kept for 7 days"


def test_a_database_that_is_still_to_be_made_is_not_made_by_looking(environment: dict[str, str]) -> None:
    status, findings = look(environment)

    with MongoClient[Document](environment["MONGO_URI"]) as client:
        collections = client[environment["MONGO_DB"]].list_collection_names()
    assert (status, faults(findings), collections) == (0, NO_SERVERS, [])
    assert findings["mongodb permissions"][1] == (
        "may read and write; candles, series, watermarks will be made by the first write"
    )


def test_two_doctors_do_not_disturb_each_other(environment: dict[str, str], mongo_uri: str, database: str) -> None:
    store = make_store(Settings.from_env(mongo_uri=mongo_uri, mongo_db=database))
    assert store.write([make_candle()]) == []
    store.close()
    command = [sys.executable, "-m", "workers", "doctor"]

    both = [subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE) for _ in range(2)]

    assert [(process.communicate(timeout=60)[0].count(b"broken  "), process.returncode) for process in both] == [
        (0, 0)
    ] * 2


# -- how it is shown --------------------------------------------------------------------------------------------------


def test_a_pipe_gets_a_line_for_each_and_a_sum(environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "workers", "doctor"]

    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)

    *lines, total = ended.stdout.splitlines()
    assert ended.returncode == 0
    assert [re.match(r"(ok|warning|broken) +([a-z. -]+): ", line) is not None for line in lines] == [True] * len(ALL)
    assert re.fullmatch(r"0 broken, 2 warning, 19 ok; [0-9.]+ s", total)
    assert (
        f"warning  rest: http://127.0.0.1:{environment['REST_PORT']}/readyz does not answer: [Errno 111] Connection "
        "refused; start it with `gunicorn web.api:app`, or say with --rest where it runs"
    ) in lines


def test_somebody_who_does_not_read_it_is_nothing_that_is_broken(environment: dict[str, str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "workers", "doctor"]

    ended = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=writer, stderr=subprocess.PIPE, timeout=60, check=False
    )
    os.close(writer)

    assert (ended.returncode, ended.stderr) == (141, b"")


def test_a_terminal_gets_a_table_with_colours_unless_it_wants_none(environment: dict[str, str]) -> None:
    status, text = run_on_terminal(environment, "doctor")
    plain_status, plain = run_on_terminal(environment | {"NO_COLOR": "1"}, "doctor")

    assert (status, plain_status) == (0, 0)
    for shown in (_ESCAPE.sub("", text), _ESCAPE.sub("", plain)):
        assert re.search(r"ok +topic candles +8 partitions, 1 replica, kept for 7 days", shown), shown
        assert re.search(r"warning +websocket .* start it with `python -m web.ws`", shown), shown
        assert "what to do" in shown
    assert (bool(_COLOUR.search(text)), bool(_COLOUR.search(plain))) == (True, False)


# -- settings and servers ---------------------------------------------------------------------------------------------


def test_a_bad_setting_of_a_server_is_broken_and_the_services_are_looked_at(environment: dict[str, str]) -> None:
    status, findings = look(environment | {"WS_PORT": "x"})

    assert (status, faults(findings)) == (1, {"settings": "broken", "servers": "warning"})
    assert findings["settings"][1:] == (
        "WS_PORT='x': expected a valid integer, unable to parse string as an integer",
        "correct it in the environment or in .env",
    )
    assert findings["mongodb"][0] == "ok"


def test_a_bad_setting_that_nothing_can_be_looked_at_without_is_status_2(environment: dict[str, str]) -> None:
    ended = run(environment | {"KAFKA_BROKERS": "here"}, "doctor")

    assert (ended.status, ended.lines) == (2, [])
    assert ended.errors == "KAFKA_BROKERS='here': expected host:port, comma-separated\n"


def test_servers_that_are_named_have_to_answer(environment: dict[str, str]) -> None:
    rest, ws = f"http://127.0.0.1:{environment['REST_PORT']}", f"ws://127.0.0.1:{environment['WS_PORT']}"

    status, findings = look(environment, "--rest", rest, "--ws", ws)

    assert (status, faults(findings)) == (1, {"rest": "broken", "websocket": "broken"})
    assert findings["websocket"][2] == "start it with `python -m web.ws`, or say with --ws where it runs"


def test_an_address_that_is_none_is_bad_usage(environment: dict[str, str]) -> None:
    ended = run(environment, "doctor", "--rest", "localhost:8080")

    assert ended.status == 2
    assert "'localhost:8080': expected an address like http://127.0.0.1:8080" in ended.errors


def test_a_server_whose_store_is_away_says_so(environment: dict[str, str], mongo_uri: str, tmp_path: Path) -> None:
    with _link_to(mongo_uri) as (link, uri):
        away = environment | {"MONGO_URI": uri}
        with running(REST, int(environment["REST_PORT"]), tmp_path / "rest.log", **away):
            link.cut()
            status, findings = look(environment)

    assert (status, faults(findings)) == (1, {"rest": "broken", "websocket": "warning"})
    assert findings["rest"][1].endswith("/readyz answers 503, store does not answer")


# -- Kafka ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("partitions", "settings", "verdict", "found"),
    [
        (8, {}, Verdict.OK, "8 partitions, 1 replica, kept for 7 days"),
        (2, {}, Verdict.WARNING, "2 partitions, expected 8: no more than 2 bridges of a kind share the work"),
        (8, {"retention.ms": str(DAY_MS)}, Verdict.WARNING, "kept for 1 day, expected 7 days"),
        (
            8,
            {"retention.bytes": "1000"},
            Verdict.WARNING,
            "retention.bytes=1000: records may go before 7 days are over",
        ),
        (
            8,
            {"cleanup.policy": "compact"},
            Verdict.BROKEN,
            "cleanup.policy=compact, expected delete: Kafka removes records that nobody has read yet",
        ),
        (
            8,
            {"min.insync.replicas": "2"},
            Verdict.BROKEN,
            "writes are refused, since min.insync.replicas=2 and fewer are in sync of all partitions",
        ),
    ],
)
def test_a_topic_that_is_not_as_we_make_it_is_named(
    kafka_brokers: str,
    monkeypatch: pytest.MonkeyPatch,
    partitions: int,
    settings: dict[str, str],
    verdict: Verdict,
    found: str,
) -> None:
    admin, name = make_admin(kafka_brokers), f"test-{uuid.uuid4().hex[:12]}"
    config = {"retention.ms": str(7 * DAY_MS)} | settings
    monkeypatch.setattr("workers.doctor.kafka.TOPICS", {name: (8, 7 * DAY_MS)})
    for future in admin.create_topics([NewTopic(name, partitions, 1, config=config)]).values():
        future.result()

    def finding() -> Finding:
        return find_in_topic(admin, name, 1)

    # A topic that was just made is not known everywhere for a moment, and then has no leaders.
    wait_until(lambda: not re.search("cannot be|no broker leads", finding().found))
    described = finding()

    for future in admin.delete_topics([name]).values():
        future.result()
    assert (described.subject, described.verdict, described.found) == (f"topic {name}", verdict, found)


def test_a_topic_that_is_missing_is_broken(kafka_brokers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.doctor.kafka.TOPICS", {"test-missing": (1, DAY_MS)})

    first, second = find_in_kafka(kafka_brokers)

    assert (first.subject, first.verdict, first.found) == (
        "kafka",
        Verdict.OK,
        f"1 broker at {kafka_brokers} can be reached",
    )
    assert (second.subject, second.verdict) == ("topic test-missing", Verdict.BROKEN)
    assert second.found == "is not there, or this user may not see it"
    assert "test-missing" not in make_admin(kafka_brokers).list_topics(timeout=10).topics


def test_how_far_a_bridge_is_is_said(
    kafka_brokers: str, make_topic: Callable[[int], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    topic, group = make_topic(2), f"test-{uuid.uuid4().hex[:12]}"
    monkeypatch.setattr("workers.doctor.bridges.TOPICS", {topic: (2, 7 * DAY_MS)})
    bridge = replace(PERSIST, group=group, sources={topic: PERSIST.sources[CANDLES]})
    monkeypatch.setattr("workers.doctor.bridges.POLICIES", {"persist": bridge})
    producer = Producer(client_config(kafka_brokers))
    for number in range(3):
        producer.produce(topic, value=encode_candle(make_candle(number)), partition=1)
    assert producer.flush(10) == 0

    (never,) = find_in_bridges(kafka_brokers)
    consumer = Consumer(client_config(kafka_brokers) | {"group.id": group})
    consumer.commit(offsets=[TopicPartition(topic, 1, 2)], asynchronous=False)
    consumer.close()
    (behind,) = find_in_bridges(kafka_brokers)

    assert (never.subject, never.verdict) == ("bridge persist", Verdict.WARNING)
    assert never.found == "has never committed, 3 records wait for it"
    assert (behind.verdict, behind.found) == (Verdict.OK, "1 record behind")


def test_a_bridge_without_its_topic_is_broken(kafka_brokers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bridge = replace(PERSIST, sources={"test-missing": PERSIST.sources[CANDLES]})
    monkeypatch.setattr("workers.doctor.bridges.POLICIES", {"persist": bridge})

    (finding,) = find_in_bridges(kafka_brokers)

    assert (finding.verdict, finding.found) == (Verdict.BROKEN, "has nothing to read: there is no topic test-missing")


def test_dead_letters_are_counted(environment: dict[str, str]) -> None:
    letters = [Letter(number, b"key", b"value", "odd") for number in range(2)]
    assert DeadLetters(environment["KAFKA_BROKERS"], DEAD_LETTERS).send(FEEDS, 0, letters)
    with redis.Redis.from_url(environment["REDIS_URL"]) as client:
        client.zadd(f"{NAMESPACE}:rollup.XQ", {"a": 1, "b": 2, "c": 3})

    status, findings = look(environment)

    assert (status, faults(findings)) == (0, NO_SERVERS | {"dead letters": "warning", "failed jobs": "warning"})
    assert findings["dead letters"][1] == "2 records could not take effect"
    assert "`python -m workers dlq list`" in (findings["dead letters"][2] or "")
    assert findings["failed jobs"][1] == "3 of rollup"


def test_a_kafka_that_stands_still_is_broken_and_hides_nothing_else(environment: dict[str, str]) -> None:
    with stopped(int(environment["KAFKA_BROKERS"].rsplit(":", 1)[1])):
        status, findings = look(environment)

    assert (status, faults(findings)) == (1, NO_SERVERS | {"kafka": "broken"})
    assert findings["kafka"][1].startswith(f"{environment['KAFKA_BROKERS']} does not answer: ")
    assert findings["mongodb permissions"][0] == "ok"


# -- Redis and the store ----------------------------------------------------------------------------------------------


def test_a_redis_that_evicts_or_keeps_nothing_on_disk_is_named(environment: dict[str, str]) -> None:
    with redis.Redis.from_url(environment["REDIS_URL"]) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("appendonly", "no")
        try:
            status, findings = look(environment)
        finally:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("appendonly", "yes")

    assert (status, faults(findings)) == (1, NO_SERVERS | {"redis memory": "broken", "redis on disk": "warning"})
    assert findings["redis memory"][1].startswith("maxmemory-policy=allkeys-lru, expected noeviction: ")
    assert findings["redis memory"][2] == "set it: CONFIG SET maxmemory-policy noeviction, and in redis.conf"


@pytest.mark.parametrize(
    ("rules", "verdict"),
    [
        (["+@all", "~crypto-streams:*", "~done:*", "~live*", "&live*"], Verdict.OK),
        (["+@all", "~crypto-streams:*", "&*"], Verdict.BROKEN),
        (["+@all", "~*", "&other*"], Verdict.BROKEN),
        (["+@all", "-eval", "~*", "&*"], Verdict.BROKEN),
        (["+@read", "+@connection", "+info", "+time", "~*", "&*"], Verdict.BROKEN),
    ],
)
def test_what_a_user_of_redis_may_do_is_tried(redis_url: str, rules: list[str], verdict: Verdict) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.execute_command("ACL", "SETUSER", "doctor", "reset", "on", ">secret", *rules)
        try:
            url = redis_url.replace("redis://", "redis://doctor:secret@")
            findings = {each.subject: each for each in find_in_redis("redis", url, "REDIS_URL", has_jobs=True)}
        finally:
            client.execute_command("ACL", "DELUSER", "doctor")

    assert findings["redis permissions"].verdict is verdict
    assert {each.verdict for name, each in findings.items() if name != "redis permissions"} == {Verdict.OK}


def test_a_redis_of_the_live_side_is_looked_at_too(environment: dict[str, str]) -> None:
    other = environment["REDIS_URL"].rsplit("/", 1)[0] + "/7"

    status, findings = look(environment | {"LIVE_REDIS_URL": other})

    assert (status, faults(findings)) == (0, NO_SERVERS)
    assert {name for name in findings if name.startswith("live redis")} == {
        *("live redis", "live redis memory", "live redis on disk", "live redis permissions", "live redis clock")
    }


def test_a_store_that_is_away_is_broken_and_hides_nothing_else(environment: dict[str, str], mongo_uri: str) -> None:
    with _link_to(mongo_uri) as (link, uri):
        link.cut()
        status, findings = look(environment | {"MONGO_URI": uri})

    assert (status, faults(findings)) == (1, NO_SERVERS | {"mongodb": "broken"})
    assert findings["mongodb"][1].startswith("does not answer: ")
    assert findings["mongodb"][2] == "start it, or correct MONGO_URI"


def test_services_that_accept_and_never_answer_are_broken_within_the_time(environment: dict[str, str]) -> None:
    with _silent() as kafka, _silent() as jobs, _silent() as mongo, _silent() as rest, _silent() as ws:
        began_at = time.monotonic()
        status, findings = look(
            environment
            | {
                "KAFKA_BROKERS": f"127.0.0.1:{kafka}",
                "REDIS_URL": f"redis://127.0.0.1:{jobs}/0",
                "MONGO_URI": f"mongodb://127.0.0.1:{mongo}",
                "REST_PORT": str(rest),
                "WS_PORT": str(ws),
            }
        )
        seconds = time.monotonic() - began_at

    subjects = ("kafka", "redis", "mongodb", "rest", "websocket")
    assert (status, faults(findings)) == (1, dict.fromkeys(subjects, "broken"))
    # Its own start, on a machine that is busy, on top of what is promised.
    assert seconds < 20


@contextmanager
def _link_to(mongo_uri: str) -> Iterator[tuple[Forwarder, str]]:
    host, port = mongo_uri.removeprefix("mongodb://").rstrip("/").split(":")
    with Forwarder((host, int(port))) as link:
        link.open()
        yield link, f"mongodb://127.0.0.1:{link.port}"


@contextmanager
def _silent() -> Iterator[int]:
    """A port that takes connections, and nothing more."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


@contextmanager
def stopped(port: int) -> Iterator[None]:
    """The process that listens on a port stands still."""
    listening = [each for each in psutil.net_connections("tcp") if each.status == psutil.CONN_LISTEN]
    (pid,) = {each.pid for each in listening if tuple(each.laddr)[1:] == (port,)}
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
