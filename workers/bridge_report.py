"""What a bridge shows of itself: its gauges, set about once a second."""

from contextlib import suppress

from confluent_kafka import Consumer, KafkaException

from workers import metrics
from workers.assigned import Assigned
from workers.backpressure import Backpressure
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
