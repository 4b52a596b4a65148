"""What a bridge shows of itself: its gauges, set about once a second, and what they say to people."""

from contextlib import suppress

from confluent_kafka import Consumer, KafkaException
from prometheus_client import Gauge

from workers import metrics
from workers.assigned import Assigned
from workers.backpressure import Backpressure
from workers.letter_count import LetterCount
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
    """A function that says how far the bridge of this policy is, from its gauges."""
    letters = LetterCount(kafka_brokers) if policy.dead_letters else None

    def describe_bridge(program: Program) -> None:
        program.lag = _total(metrics.BRIDGE_LAG, policy.name)
        program.in_flight = _total(metrics.BRIDGE_RECORDS_IN_FLIGHT, policy.name)
        program.paused = bool(_total(metrics.BRIDGE_PAUSED, policy.name))
        program.alone = bool(_total(metrics.BRIDGE_QUEUE_DEAD, policy.name))
        program.dead_letters = letters.read() if letters else None

    return describe_bridge


def _total(gauge: Gauge, bridge: str) -> int | None:
    """The sum over a bridge's partitions; None if nothing is known of any."""
    values = [
        sample.value for family in gauge.collect() for sample in family.samples if sample.labels["bridge"] == bridge
    ]
    return int(sum(values)) if values else None
