"""Making the topics on a real Kafka."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._resource import ResourceType

from ingest import topics
from ingest.kafka import client_config
from ingest.topics import ensure_topics


def described(brokers: str, names: list[str]) -> dict[str, tuple[int, str | None]]:
    """Partition count and retention of each topic."""
    admin = AdminClient(client_config(brokers))
    known = admin.list_topics(timeout=10).topics
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    configs = {resource.name: future.result() for resource, future in admin.describe_configs(resources).items()}
    return {name: (len(known[name].partitions), configs[name]["retention.ms"].value) for name in names}


@pytest.fixture
def fresh_names(kafka_brokers: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Topics of this test alone, with the settings of the real ones."""
    mark = uuid.uuid4().hex[:8]
    renamed = {f"test-{mark}-{name}": settings for name, settings in topics.TOPICS.items()}
    monkeypatch.setattr(topics, "TOPICS", renamed)
    return list(renamed)


def remove(brokers: str, names: list[str]) -> None:
    admin = AdminClient(client_config(brokers))  # held until it has answered
    for future in admin.delete_topics(names).values():
        future.result()


def test_makes_the_topics_with_their_partitions_and_retention(kafka_brokers: str, fresh_names: list[str]) -> None:
    ensure_topics(kafka_brokers)

    found = described(kafka_brokers, fresh_names)

    remove(kafka_brokers, fresh_names)
    days = 24 * 60 * 60 * 1000
    assert list(found.values()) == [(8, str(7 * days)), (1, str(30 * days)), (1, str(30 * days))]


def test_processes_that_start_together_do_not_disturb_each_other(kafka_brokers: str, fresh_names: list[str]) -> None:
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(lambda _: ensure_topics(kafka_brokers), range(4)))

    found = described(kafka_brokers, fresh_names)

    remove(kafka_brokers, fresh_names)
    assert (outcomes, [partitions for partitions, _ in found.values()]) == ([None] * 4, [8, 1, 1])


def test_leaves_topics_that_exist_as_they_are(kafka_brokers: str) -> None:
    ensure_topics(kafka_brokers)
    before = described(kafka_brokers, list(topics.TOPICS))

    ensure_topics(kafka_brokers)

    assert described(kafka_brokers, list(topics.TOPICS)) == before
