"""What the actors of both job queues have in common: their options, and how a job ends.

A job ends in one of two ways: its completion reaches the bridge, or nothing happens and the bridge's lease lapses.
Dramatiq's retries are not used: they are enqueued by a middleware that swallows its own failure, after which the
message is acknowledged, so a Redis that is away at that moment would lose the job for good.
"""

import logging
import time
from collections.abc import Callable
from typing import Any, Final

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker

from ingest.candle import Candle
from ingest.codec import decode_candle
from ingest.errors import DecodeError
from workers import metrics
from workers.completions import Completion, push_completion

logger = logging.getLogger(__name__)

#: ``[[offset, raw JSON], …]``: raw, because Dramatiq's own JSON would turn prices into binary floats.
Rows = list[tuple[int, str]]
#: (offset, reason) of rows that can never take effect.
Refused = list[tuple[int, str]]

#: A job that waited longer is dropped: its bridge has long seen to its rows otherwise.
MAX_AGE_MS: Final = 30_000
JOB_OPTIONS: Final[dict[str, Any]] = {"max_retries": 0, "drop_after": MAX_AGE_MS}


def run_job(name: str, apply: Callable[[], Refused | None], completion: Callable[[Refused], Completion]) -> None:
    """Apply a batch and report it; never raises, whatever ``apply`` does."""
    began_at = time.perf_counter()
    result = "not_done"
    try:
        refused = apply()
        if refused is not None:
            push_completion(_client(), completion(refused))
            result = "done"
    except redis.RedisError as error:
        # The rows took effect, the bridge does not learn of it and repeats them.
        logger.warning("cannot report a completion", extra={"actor": name, "reason": str(error)})
        result = "not_reported"
    except Exception:
        logger.exception("job failed, its bridge will send it again", extra={"actor": name})
        result = "failed"
    metrics.JOBS.labels(name, result).inc()
    metrics.JOB_SECONDS.labels(name).observe(time.perf_counter() - began_at)


def read_candles(rows: Rows) -> tuple[list[int], list[Candle], Refused]:
    """The candles of a batch, each with its offset before it, and the rows that cannot be read as one."""
    offsets: list[int] = []
    candles: list[Candle] = []
    refused: Refused = []
    for offset, text in rows:
        try:
            candles.append(decode_candle(text.encode()))
            offsets.append(offset)
        except (DecodeError, UnicodeEncodeError) as error:
            refused.append((offset, error.reason))
    return offsets, candles, refused


def _client() -> "redis.Redis":
    broker = dramatiq.get_broker()
    assert isinstance(broker, RedisBroker)
    client: redis.Redis = broker.client
    return client
