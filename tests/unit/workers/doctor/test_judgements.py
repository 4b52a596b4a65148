"""What the doctor says about what it found: each fault by itself, and nothing about what is as it should be."""

from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka.admin._acl import AclOperation
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError

from ingest.topics import CANDLES, FEEDS
from workers.doctor.bridges import judge_lag
from workers.doctor.findings import Verdict, clock
from workers.doctor.kafka import Partition, Topic, judge_topic
from workers.doctor.redis_server import judge_memory, judge_persistence, judge_server
from workers.doctor.store import advice_for
from workers.doctor.store import judge_server as judge_store
from workers.offsets import Lag
from workers.policies import PERSIST

DAY_MS = 86_400_000
SETTINGS = {
    "cleanup.policy": "delete",
    "retention.ms": str(7 * DAY_MS),
    "retention.bytes": "-1",
    "min.insync.replicas": "1",
}
GOOD = Topic(
    CANDLES,
    tuple(Partition(number, has_leader=True, replicas=1, in_sync=1) for number in range(8)),
    SETTINGS,
    frozenset({AclOperation.READ, AclOperation.WRITE, AclOperation.DESCRIBE}),
    brokers=1,
)


def with_partitions(count: int, **fields: Any) -> tuple[Partition, ...]:
    return tuple(replace(GOOD.partitions[0], number=number, **fields) for number in range(count))


def with_settings(**values: str) -> dict[str, str]:
    return SETTINGS | {name.replace("_", "."): value for name, value in values.items()}


REPLICATED = replace(
    GOOD,
    brokers=3,
    partitions=with_partitions(8, replicas=3, in_sync=3),
    settings=with_settings(min_insync_replicas="2"),
)


@pytest.mark.parametrize(
    ("topic", "found"),
    [
        (GOOD, "8 partitions, 1 replica, kept for 7 days"),
        (REPLICATED, "8 partitions, 3 replicas, kept for 7 days"),
        (replace(GOOD, allowed=None), "8 partitions, 1 replica, kept for 7 days"),
        (replace(GOOD, partitions=with_partitions(32)), "32 partitions, 1 replica, kept for 7 days"),
        (replace(GOOD, settings=with_settings(retention_ms="-1")), "8 partitions, 1 replica, kept for ever"),
        (
            replace(
                GOOD, name=FEEDS, partitions=with_partitions(1), settings=with_settings(retention_ms=str(30 * DAY_MS))
            ),
            "1 partition, 1 replica, kept for 30 days",
        ),
    ],
)
def test_a_topic_that_is_as_it_should_be_is_ok(topic: Topic, found: str) -> None:
    finding = judge_topic(topic)

    assert (finding.verdict, finding.found, finding.advice) == (Verdict.OK, found, "")
    assert finding.subject == f"topic {topic.name}"


@pytest.mark.parametrize(
    ("topic", "verdict", "found", "advice"),
    [
        (
            replace(GOOD, allowed=frozenset({AclOperation.READ})),
            Verdict.BROKEN,
            "this user may not WRITE",
            "add the permission to Kafka's ACLs",
        ),
        (
            replace(GOOD, partitions=(*GOOD.partitions[:7], replace(GOOD.partitions[7], has_leader=False, in_sync=0))),
            Verdict.BROKEN,
            "no broker leads partition 7, so nothing can be read or written there",
            "start the brokers that are missing",
        ),
        (
            replace(REPLICATED, partitions=with_partitions(8, replicas=3, in_sync=1)),
            Verdict.BROKEN,
            "writes are refused, since min.insync.replicas=2 and fewer are in sync of all partitions",
            "start the brokers that are missing",
        ),
        (
            replace(GOOD, settings=with_settings(min_insync_replicas="2")),
            Verdict.BROKEN,
            "writes are refused, since min.insync.replicas=2 and fewer are in sync of all partitions",
            "lower it, or add replicas",
        ),
        (
            replace(GOOD, settings=with_settings(cleanup_policy="compact,delete")),
            Verdict.BROKEN,
            "cleanup.policy=compact,delete, expected delete: Kafka removes records that nobody has read yet",
            "--entity-name candles --add-config cleanup.policy=delete",
        ),
        (
            replace(GOOD, partitions=with_partitions(3)),
            Verdict.WARNING,
            "3 partitions, expected 8: no more than 3 bridges of a kind share the work",
            "kafka-topics.sh --alter --topic candles --partitions 8",
        ),
        (
            replace(
                REPLICATED,
                partitions=(*with_partitions(2, replicas=3, in_sync=2), *REPLICATED.partitions[2:]),
            ),
            Verdict.WARNING,
            "not all replicas are in sync of partitions 0, 1",
            "start the brokers that are missing",
        ),
        (
            replace(GOOD, brokers=3),
            Verdict.WARNING,
            "1 replica, though there are 3 brokers: with one of them its records are lost",
            "give each partition three replicas",
        ),
        (
            replace(REPLICATED, settings=SETTINGS),
            Verdict.WARNING,
            "3 replicas and min.insync.replicas=1: one broker alone may accept a record and be lost",
            "--add-config min.insync.replicas=2",
        ),
        (
            replace(GOOD, settings=with_settings(retention_ms=str(DAY_MS // 2))),
            Verdict.WARNING,
            "kept for 12 hours, expected 7 days",
            f"--add-config retention.ms={7 * DAY_MS}",
        ),
        (
            replace(GOOD, settings=with_settings(retention_bytes="1000000")),
            Verdict.WARNING,
            "retention.bytes=1000000: records may go before 7 days are over",
            "--add-config retention.bytes=-1",
        ),
    ],
)
def test_a_topic_with_a_fault_says_it_and_what_to_do(topic: Topic, verdict: Verdict, found: str, advice: str) -> None:
    finding = judge_topic(topic)

    assert (finding.verdict, finding.found) == (verdict, found)
    assert advice in finding.advice


def lag(**fields: Any) -> Lag:
    values = {"end": 100, "committed": 100, "behind": 0, "in_flight": None, "oldest_seconds": None}
    return Lag(bridge="persist", topic=CANDLES, partition=0, **(values | fields))


@pytest.mark.parametrize(
    ("lags", "verdict", "found"),
    [
        ([lag(), lag()], Verdict.OK, "nothing behind"),
        ([lag(end=0, committed=None)], Verdict.OK, "nothing behind"),
        ([lag(), lag(committed=99, behind=1, oldest_seconds=0.4)], Verdict.OK, "1 record behind"),
        (
            [lag(committed=None, behind=0), lag(committed=90, behind=10, oldest_seconds=9)],
            Verdict.OK,
            "10 records behind",
        ),
        (
            [lag(committed=None, behind=100, oldest_seconds=3)],
            Verdict.WARNING,
            "has never committed, 100 records wait for it",
        ),
        ([lag(behind=1000, oldest_seconds=200)], Verdict.WARNING, "1,000 records behind, the oldest for 3 m 20 s"),
        (
            [lag(behind=9, oldest_seconds=4 * 86_400)],
            Verdict.BROKEN,
            "9 records behind, the oldest for 4 d 0 h; Kafka forgets them after 7 d 0 h",
        ),
    ],
)
def test_a_bridge_that_does_not_keep_up_is_named(lags: list[Lag], verdict: Verdict, found: str) -> None:
    finding = judge_lag(PERSIST, lags)

    assert (finding.subject, finding.verdict, finding.found) == ("bridge persist", verdict, found)
    assert ("`python -m workers bridge persist`" in finding.advice) == (verdict is not Verdict.OK)


INFO = {
    "redis_version": "7.4.1",
    "role": "master",
    "maxmemory_policy": "noeviction",
    "used_memory": 3 * 2**20,
    "maxmemory": 0,
    "aof_enabled": 1,
    "aof_last_write_status": "ok",
    "rdb_last_bgsave_status": "ok",
}


@pytest.mark.parametrize(
    ("info", "verdict", "found"),
    [
        ({}, Verdict.OK, "version 7.4.1"),
        ({"redis_version": "6.0.16"}, Verdict.BROKEN, "version 6.0.16, expected 6.2 or newer"),
        ({"redis_version": "10.0.0"}, Verdict.OK, "version 10.0.0"),
        (
            {"role": "slave", "master_host": "redis-1"},
            Verdict.BROKEN,
            "version 7.4.1, a replica of redis-1: it takes no writes",
        ),
    ],
)
def test_of_redis_version_and_role_are_judged(info: dict[str, Any], verdict: Verdict, found: str) -> None:
    finding = judge_server("redis", INFO | info)

    assert (finding.verdict, finding.found, bool(finding.advice)) == (verdict, found, verdict is not Verdict.OK)


@pytest.mark.parametrize(
    ("info", "verdict", "found"),
    [
        ({}, Verdict.OK, "noeviction, 3 MiB used, without a limit"),
        ({"maxmemory": 100 * 2**20}, Verdict.OK, "noeviction, 3 MiB used of 100"),
        (
            {"maxmemory": 100 * 2**20, "used_memory": 95 * 2**20},
            Verdict.WARNING,
            "noeviction, 95 MiB used of 100: writes are refused when it is full",
        ),
        (
            {"maxmemory_policy": "allkeys-lru", "maxmemory": 100 * 2**20},
            Verdict.BROKEN,
            "maxmemory-policy=allkeys-lru, expected noeviction: jobs and live candles are removed to make room; "
            "3 MiB used of 100",
        ),
    ],
)
def test_of_redis_memory_is_judged(info: dict[str, Any], verdict: Verdict, found: str) -> None:
    finding = judge_memory("redis", INFO | info)

    assert (finding.verdict, finding.found, bool(finding.advice)) == (verdict, found, verdict is not Verdict.OK)


@pytest.mark.parametrize(
    ("info", "verdict", "found"),
    [
        ({}, Verdict.OK, "appendonly=yes"),
        ({"aof_enabled": 0}, Verdict.WARNING, "appendonly=no"),
        ({"aof_last_write_status": "err"}, Verdict.BROKEN, "the last write to the append-only file failed"),
        ({"rdb_last_bgsave_status": "err"}, Verdict.BROKEN, "the last snapshot failed"),
    ],
)
def test_of_redis_persistence_is_judged(info: dict[str, Any], verdict: Verdict, found: str) -> None:
    finding = judge_persistence("redis", INFO | info)

    assert (finding.verdict, bool(finding.advice)) == (verdict, verdict is not Verdict.OK)
    assert finding.found.startswith(found)


@pytest.mark.parametrize(
    ("ahead_seconds", "verdict", "found"),
    [
        (0.9, Verdict.OK, "its clock and ours agree within 1 s"),
        (-1.5, Verdict.WARNING, "its clock is 1.5 s behind ours"),
        (61.0, Verdict.BROKEN, "its clock is 61.0 s ahead of ours"),
    ],
)
def test_a_clock_that_is_wrong_is_named(ahead_seconds: float, verdict: Verdict, found: str) -> None:
    finding = clock("redis clock", ahead_seconds)

    assert (finding.verdict, finding.found) == (verdict, found)


@pytest.mark.parametrize(
    ("hello", "built", "verdict", "found"),
    [
        ({}, {}, Verdict.OK, "version 8.0.4"),
        (
            {},
            {"ferretdb": {"version": "v2.7.0"}, "version": "7.0.77"},
            Verdict.OK,
            "FerretDB v2.7.0, as MongoDB 7.0.77",
        ),
        ({}, {"version": "5.0.31"}, Verdict.WARNING, "version 5.0.31, tested with 6.0 and newer"),
        ({"isWritablePrimary": False}, {}, Verdict.BROKEN, "version 8.0.4, not a primary: it takes no writes"),
    ],
)
def test_of_mongodb_version_and_role_are_judged(
    hello: dict[str, Any], built: dict[str, Any], verdict: Verdict, found: str
) -> None:
    finding = judge_store({"isWritablePrimary": True} | hello, {"version": "8.0.4"} | built)

    assert (finding.verdict, finding.found, bool(finding.advice)) == (verdict, found, verdict is not Verdict.OK)


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (OperationFailure("not authorized on x", 13), "give the role"),
        (OperationFailure("Authentication failed.", 18), "give the role"),
        (OperationFailure("disk full", 14031), "see the disk"),
        (AutoReconnect("connection closed"), "see the disk"),
    ],
)
def test_a_user_that_is_refused_is_told_from_a_server_that_fails(error: PyMongoError, advice: str) -> None:
    assert advice_for(error, "see the disk", "give the role") == advice
