"""Are the brokers reachable, and are the topics what `ingest.topics` makes them?"""

import socket
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclOperation
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.admin._topic import TopicDescription

from ingest.kafka import make_admin
from ingest.topics import TOPICS
from workers.doctor.findings import Finding, broken, ok, warning

#: Each question.
QUESTION_SECONDS: Final = 3.0
_CONNECT_SECONDS: Final = 1.0
_DAY_MS: Final = 86_400_000
_SUBJECT: Final = "kafka"
#: What programs of ours do with each topic.
_NEEDED: Final = (AclOperation.READ, AclOperation.WRITE)
_MAKE: Final = "start ingest or a bridge, which make the topics, or let this user DESCRIBE them"


def find_in_kafka(brokers: str) -> Generator[Finding, None, bool]:
    """Look at the brokers at these addresses, and at each topic; returns whether Kafka answers at all."""
    admin = make_admin(brokers)
    try:
        metadata = admin.list_topics(timeout=QUESTION_SECONDS)
    except KafkaException as error:
        found = f"{brokers} does not answer: {error.args[0].str()}; topics and bridges were not looked at"
        yield broken(_SUBJECT, found, "start Kafka, or correct KAFKA_BROKERS")
        return False
    addresses = [(str(each.host), int(each.port)) for each in metadata.brokers.values()]
    away = [f"{host}:{port}" for host, port in addresses if not _listens(host, port)]
    if away:
        found = f"of {_count(len(addresses), 'broker')} {', '.join(away)} cannot be reached from here"
        yield broken(_SUBJECT, found, "start what is down, or correct the brokers' advertised.listeners")
    else:
        yield ok(_SUBJECT, f"{_count(len(addresses), 'broker')} at {brokers} can be reached")
    for topic in TOPICS:
        if topic in metadata.topics:
            yield find_in_topic(admin, topic, len(addresses))
        else:
            yield broken(_subject(topic), "is not there, or this user may not see it", _MAKE)
    return True


def find_in_topic(admin: AdminClient, topic: str, brokers: int) -> Finding:
    """The worst that is to be said about a topic; ``brokers`` is how many there are."""
    try:
        described = _describe(admin, topic)
    except KafkaException as error:
        found = f"cannot be described: {error.args[0].str()}"
        return broken(_subject(topic), found, "see the broker's log, and let this user DESCRIBE it")
    try:
        settings = _settings(admin, topic)
    except KafkaException as error:
        found = f"how long it is kept, and how safely, cannot be seen: {error.args[0].str()}"
        return warning(_subject(topic), found, "let this user DESCRIBE_CONFIGS of it")
    partitions = tuple(
        Partition(each.id, each.leader is not None and each.leader.id >= 0, len(each.replicas), len(each.isr))
        for each in described.partitions
    )
    allowed = described.authorized_operations
    return judge_topic(Topic(topic, partitions, settings, None if allowed is None else frozenset(allowed), brokers))


@dataclass(frozen=True, slots=True)
class Partition:
    """How a partition is kept: by how many brokers, and how many of them have everything."""

    number: int
    has_leader: bool
    replicas: int
    in_sync: int


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as Kafka describes it.

    Args:
        name: Its name.
        partitions: All of them.
        settings: Those in effect, by name.
        allowed: What this user may do with it, None: Kafka does not say.
        brokers: How many there are.
    """

    name: str
    partitions: tuple[Partition, ...]
    settings: Mapping[str, str]
    allowed: frozenset[Enum] | None
    brokers: int

    @property
    def replicas(self) -> int:
        """How many every partition has at least."""
        return min(each.replicas for each in self.partitions)


def judge_topic(topic: Topic) -> Finding:
    """The worst that is to be said about a topic. Pure."""
    for judge in (_judge_permissions, _judge_leaders, _judge_sync, _judge_policy, *_JUDGES_OF_LESS):
        if finding := judge(topic):
            return finding
    partitions, replicas = _count(len(topic.partitions), "partition"), _count(topic.replicas, "replica")
    retention_ms = int(topic.settings["retention.ms"])
    kept = "for ever" if retention_ms < 0 else f"for {_duration(retention_ms)}"
    return ok(_subject(topic.name), f"{partitions}, {replicas}, kept {kept}")


def _judge_permissions(topic: Topic) -> Finding | None:
    missing = [] if topic.allowed is None else [each.name for each in _NEEDED if each not in topic.allowed]
    if not missing:
        return None
    found = f"this user may not {' and '.join(missing)}"
    return broken(_subject(topic.name), found, "add the permission to Kafka's ACLs")


def _judge_leaders(topic: Topic) -> Finding | None:
    without = [each.number for each in topic.partitions if not each.has_leader]
    if not without:
        return None
    found = f"no broker leads {_partitions(without, topic)}, so nothing can be read or written there"
    return broken(_subject(topic.name), found, "start the brokers that are missing")


def _judge_sync(topic: Topic) -> Finding | None:
    least = int(topic.settings["min.insync.replicas"])
    short = [each.number for each in topic.partitions if each.in_sync < least]
    if not short:
        return None
    found = (
        f"writes are refused, since min.insync.replicas={least} and fewer are in sync of {_partitions(short, topic)}"
    )
    advice = "start the brokers that are missing" if topic.replicas >= least else "lower it, or add replicas"
    return broken(_subject(topic.name), found, advice)


def _judge_policy(topic: Topic) -> Finding | None:
    policy = topic.settings["cleanup.policy"]
    if "compact" not in policy:
        return None
    found = f"cleanup.policy={policy}, expected delete: Kafka removes records that nobody has read yet"
    return broken(_subject(topic.name), found, _alter(topic, "cleanup.policy=delete"))


def _judge_partitions(topic: Topic) -> Finding | None:
    number, wanted = len(topic.partitions), TOPICS[topic.name][0]
    if number >= wanted:
        return None
    found = f"{_count(number, 'partition')}, expected {wanted}: no more than {number} bridges of a kind share the work"
    advice = f"raise it while everything runs: kafka-topics.sh --alter --topic {topic.name} --partitions {wanted}"
    return warning(_subject(topic.name), found, advice)


def _judge_replicas(topic: Topic) -> Finding | None:
    behind = [each.number for each in topic.partitions if each.in_sync < each.replicas]
    if behind:
        found = f"not all replicas are in sync of {_partitions(behind, topic)}"
        advice = "start the brokers that are missing"
    elif topic.replicas == 1 and topic.brokers > 1:
        found = f"1 replica, though there are {topic.brokers} brokers: with one of them its records are lost"
        advice = "give each partition three replicas: kafka-reassign-partitions.sh"
    elif topic.replicas > 1 and topic.settings["min.insync.replicas"] == "1":
        found = f"{topic.replicas} replicas and min.insync.replicas=1: one broker alone may accept a record and be lost"
        advice = _alter(topic, "min.insync.replicas=2")
    else:
        return None
    return warning(_subject(topic.name), found, advice)


def _judge_retention(topic: Topic) -> Finding | None:
    retention_ms, wanted_ms = int(topic.settings["retention.ms"]), TOPICS[topic.name][1]
    most_bytes = topic.settings["retention.bytes"]
    if 0 <= retention_ms < wanted_ms:
        found = f"kept for {_duration(retention_ms)}, expected {_duration(wanted_ms)}"
        return warning(_subject(topic.name), found, _alter(topic, f"retention.ms={wanted_ms}"))
    if most_bytes != "-1":
        found = f"retention.bytes={most_bytes}: records may go before {_duration(wanted_ms)} are over"
        return warning(_subject(topic.name), found, _alter(topic, "retention.bytes=-1"))
    return None


_JUDGES_OF_LESS: Final = (_judge_partitions, _judge_replicas, _judge_retention)


def _alter(topic: Topic, setting: str) -> str:
    return f"set it: kafka-configs.sh --alter --entity-type topics --entity-name {topic.name} --add-config {setting}"


def _describe(admin: AdminClient, topic: str) -> TopicDescription:
    answers = admin.describe_topics(
        TopicCollection([topic]), include_authorized_operations=True, request_timeout=QUESTION_SECONDS
    )
    described: TopicDescription = answers[topic].result()
    return described


def _settings(admin: AdminClient, topic: str) -> dict[str, str]:
    resource = ConfigResource(ResourceType.TOPIC, topic)
    entries: Mapping[str, Any] = admin.describe_configs([resource], request_timeout=QUESTION_SECONDS)[resource].result()
    return {name: str(entry.value) for name, entry in entries.items()}


def _listens(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=_CONNECT_SECONDS):
            return True
    except OSError:
        return False


def _subject(topic: str) -> str:
    return f"topic {topic}"


def _partitions(numbers: list[int], topic: Topic) -> str:
    if len(numbers) == len(topic.partitions):
        return "all partitions"
    return f"partition{'' if len(numbers) == 1 else 's'} {', '.join(map(str, numbers))}"


def _duration(milliseconds: int) -> str:
    if milliseconds >= _DAY_MS:
        return _count(round(milliseconds / _DAY_MS, 1), "day")
    return _count(round(milliseconds / 3_600_000, 1), "hour")


def _count(number: float, what: str) -> str:
    return f"{number:g} {what}" + ("" if number == 1 else "s")
