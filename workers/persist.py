"""The actor that writes candles into the store."""

import dramatiq

from workers import metrics
from workers.completions import Completion
from workers.jobs import JOB_OPTIONS, Refused, Rows, read_candles, run_job
from workers.store import CandleStore, get_store

QUEUE = "persist"


@dramatiq.actor(queue_name=QUEUE, **JOB_OPTIONS)
def persist_candles(assignment_id: str, partition: int, first: int, last: int, rows: Rows) -> None:
    """Write one batch and say so; safe to run twice, because ``rev`` only moves forward.

    Does not raise: a batch without a completion is sent again by its bridge.
    """
    run_job(
        "persist_candles",
        lambda: store_candles(get_store(), rows),
        lambda refused: Completion(assignment_id, partition, first, last, refused),
    )


def store_candles(store: CandleStore, rows: Rows) -> Refused | None:
    """Write rows; returns the refused ones, None if it is not known that all others took effect."""
    offsets, candles, refused = read_candles(rows)
    not_encoded = store.write(candles)
    if not_encoded is None:
        return None
    refused += [(offsets[index], reason) for index, reason in not_encoded]
    metrics.CANDLES_REFUSED.inc(len(refused))
    return refused
