"""The actors that publish candles and feed events to the live side."""

import logging
import threading

import dramatiq
import redis

from ingest.codec import decode_event, encode_candle, encode_event
from ingest.errors import DecodeError
from workers import metrics
from workers.clients import redis_client
from workers.completions import Completion
from workers.jobs import JOB_OPTIONS, Refused, Rows, read_candles, run_job
from workers.live import LiveSide
from workers.outage import Outage
from workers.settings import Settings

logger = logging.getLogger(__name__)

QUEUE = "fanout"

_outage = Outage(logger, "the live side's Redis")


@dramatiq.actor(queue_name=QUEUE, **JOB_OPTIONS)
def publish_candles(assignment_id: str, partition: int, first: int, last: int, rows: Rows) -> None:
    """Publish one batch of candles and say so; safe to run twice, because ``rev`` only moves forward.

    Does not raise: a batch without a completion is sent again by its bridge.
    """
    run_job(
        "publish_candles",
        lambda: send_candles(get_live(), rows),
        lambda refused: Completion(assignment_id, partition, first, last, refused),
    )


@dramatiq.actor(queue_name=QUEUE, **JOB_OPTIONS)
def publish_events(assignment_id: str, partition: int, first: int, last: int, rows: Rows) -> None:
    """Publish one batch of feed events and say so; safe to run twice, because an older event changes nothing.

    Does not raise: a batch without a completion is sent again by its bridge.
    """
    run_job(
        "publish_events",
        lambda: send_events(get_live(), rows),
        lambda refused: Completion(assignment_id, partition, first, last, refused),
    )


def send_candles(live: LiveSide, rows: Rows) -> Refused | None:
    """Publish rows; returns those that cannot be read, None if Redis did not take all others."""
    _, candles, refused = read_candles(rows)
    try:
        # Encoded again: the script relies on the canonical form, and a record may have been written by anyone.
        results = live.publish_all([(candle, encode_candle(candle)) for candle in candles])
    except redis.RedisError as error:
        _outage.failed(error)
        return None
    _outage.answered()
    for result in results:
        metrics.LIVE_CANDLES.labels(result.name.lower()).inc()
    return refused


def send_events(live: LiveSide, rows: Rows) -> Refused | None:
    """Publish rows; returns those that cannot be read, None if Redis did not take all others."""
    refused: Refused = []
    for offset, text in rows:
        try:
            event = decode_event(text.encode())
            result = live.publish_event(event, encode_event(event))
        except (DecodeError, UnicodeEncodeError) as error:
            refused.append((offset, error.reason))
        except redis.RedisError as error:
            _outage.failed(error)
            return None
        else:
            _outage.answered()
            metrics.LIVE_EVENTS.labels(result.name.lower()).inc()
    return refused


_lock = threading.Lock()
_live: LiveSide | None = None


def get_live() -> LiveSide:
    """This process's live side, made on first use from the environment."""
    global _live
    with _lock:
        if _live is None:
            settings = Settings.from_env()
            _live = LiveSide(redis_client(settings.live_url), settings.live_window)
        return _live
