"""What every Kafka client of ours has in common, on a real broker."""

import uuid
from collections.abc import Callable

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition

from ingest.kafka import client_config, committed_offsets


def test_what_a_group_has_committed_can_be_asked_while_it_lives(
    kafka_brokers: str, make_topic: Callable[[int], str]
) -> None:
    topic, group = make_topic(3), uuid.uuid4().hex
    member = Consumer({**client_config(kafka_brokers), "group.id": group, "enable.auto.commit": False})
    member.commit(offsets=[TopicPartition(topic, 0, 5), TopicPartition(topic, 2, 7)], asynchronous=False)

    found = committed_offsets(kafka_brokers, group, [TopicPartition(topic, number) for number in range(3)], 5.0)

    member.close()
    assert found == {(topic, 0): 5, (topic, 2): 7}


def test_a_kafka_that_does_not_answer_is_an_error_in_time() -> None:
    with pytest.raises(KafkaException):
        committed_offsets("127.0.0.1:9", "nobody", [TopicPartition("nothing", 0)], 0.3)
