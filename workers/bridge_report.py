"""What a bridge shows of itself: its gauges, set about once a second, and what they say to people."""

from collections.abc import Iterator
from contextlib import suppress

from confluent_kafka import Consumer, KafkaException
from prometheus_client import Gauge
from prometheus_client.samples import Sample

from workers import metrics
from workers.assigned import Assigned
from workers.backpressure import Backpressure
from workers.kafka_view import LETTERS, KafkaView, Place
from workers.policies import Policy
from workers.presence import Describe, Program
from workers.watermark import Leases


def report(name: str, assigned: Assigned, leases: Leases, backpressure: Backpressure, consumer: Consumer) -> None:
    """Set the gauges of the bridge ``name``."""
    waiting = [batch for each in assigned for batch in each.unfinished()]
    metrics.BRIDGE_BATCHES.labels(name).set(len(waiting))
    metrics.BRIDGE_ROWS.labels(name).set(sum(len(batch.rows) for batch in waiting))
    metrics.BRIDGE_PAUSED.labels(name).set(backpressure.paused)
    metrics.BRIDGE_QUEUE_DEAD.labels(name).set(leases.queue_dead)
    for each in assigned:
        where = (name, each.topic, str(each.partition))
        metrics.BRIDGE_RECORDS_IN_FLIGHT.labels(*where).set(sum(batch.records for batch in each.unfinished()))
        watermark = each.batches.watermark
        if watermark is not None:
            metrics.BRIDGE_WATERMARK.labels(*where).set(watermark)
            with suppress(KafkaException):
                _, end = consumer.get_watermark_offsets(each.at(), cached=True)
                metrics.BRIDGE_LAG.labels(*where).set(max(0, end - watermark))


def describe(policy: Policy, kafka_brokers: str) -> Describe:
    """A function that says how far the bridge of this policy is."""
    kafka = KafkaView(kafka_brokers)

    def describe_bridge(program: Program) -> None:
        in_flight = _by_place(metrics.BRIDGE_RECORDS_IN_FLIGHT, policy.name)
        watermarks = _by_place(metrics.BRIDGE_WATERMARK, policy.name)
        kafka.ask(in_flight.keys() | LETTERS if policy.dead_letters else in_flight)
        program.assigned, program.partitions = len(in_flight), kafka.partitions(policy.sources)
        program.lag = kafka.behind({place: watermarks.get(place) for place in in_flight})
        program.in_flight = sum(in_flight.values())
        program.paused = _is_set(metrics.BRIDGE_PAUSED, policy.name)
        program.without_workers = _is_set(metrics.BRIDGE_QUEUE_DEAD, policy.name)
        program.dead_letters = kafka.dead_letters

    return describe_bridge


def _by_place(gauge: Gauge, bridge: str) -> dict[Place, int]:
    """What a gauge says of each partition that is assigned to the bridge."""
    samples = _samples(gauge, bridge)
    return {(each.labels["topic"], int(each.labels["partition"])): int(each.value) for each in samples}


def _is_set(gauge: Gauge, bridge: str) -> bool:
    return any(sample.value for sample in _samples(gauge, bridge))


def _samples(gauge: Gauge, bridge: str) -> Iterator[Sample]:
    return (each for family in gauge.collect() for each in family.samples if each.labels["bridge"] == bridge)
