"""The actor that computes larger candles from the minutes in the store."""

import logging
from collections.abc import Sequence

import dramatiq

from ingest.candle import Candle, Interval
from workers import metrics
from workers.completions import Completion
from workers.errors import StoreUnavailable
from workers.jobs import JOB_OPTIONS, Refused, Rows, read_candles, run_job
from workers.outage import Outage
from workers.store import CandleStore, get_store

logger = logging.getLogger(__name__)

QUEUE = "rollup"

_outage = Outage(logger, "the store, asked for larger candles,")


@dramatiq.actor(queue_name=QUEUE, **JOB_OPTIONS)
def roll_up_candles(assignment_id: str, partition: int, first: int, last: int, rows: Rows) -> None:
    """Make right what one batch of minutes belongs to, and say so; safe to run twice, or twice at once.

    Does not raise: a batch without a completion is sent again by its bridge.
    """
    run_job(
        "roll_up_candles",
        lambda: roll_up_rows(get_store(), rows),
        lambda refused: Completion(assignment_id, partition, first, last, refused),
    )


def roll_up_rows(store: CandleStore, rows: Rows) -> Refused | None:
    """Make every larger candle of these minutes right; returns what cannot be read, None if it is not known to be so.

    The minutes are written first: the bridge that sees to that may be behind this one, or not running.
    """
    _, candles, refused = read_candles(rows)
    minutes = [candle for candle in candles if candle.interval is Interval.M1]
    not_encoded = store.write(minutes)
    if not_encoded is None:
        return None
    try:
        outcomes = store.roll_up(_without(minutes, [index for index, _ in not_encoded]))
    except StoreUnavailable as error:
        _outage.failed(error)
        return None
    _outage.answered()
    for outcome, count in outcomes.items():
        metrics.LARGER_CANDLES.labels(outcome).inc(count)
    return refused


def _without(minutes: Sequence[Candle], indexes: Sequence[int]) -> list[Candle]:
    return [minute for index, minute in enumerate(minutes) if index not in indexes]
