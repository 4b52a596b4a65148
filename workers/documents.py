"""What a candle looks like in the store, and where it lies. Pure.

A candle's ``_id`` is computed from its series and open time, so a repeated write lands on the same document, and the
primary key alone serves upserts, range scans and newest-first order.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final

from bson import ObjectId
from bson.int64 import Int64
from pymongo.collection import Collection

from ingest.candle import Candle, Interval, Series, State
from workers.decimal128 import from_decimal128, to_decimal128

Document = dict[str, Any]
DocumentCollection = Collection[Document]

#: Open times in an ``_id`` are unsigned 32-bit seconds.
MAX_SECONDS: Final = 2**32 - 1

_INTERVALS = {interval.value: interval for interval in Interval}
_STATES = {state.value: state for state in State}
FINAL_STATES: Final = tuple(state.value for state in State if state.rank >= State.FINAL.rank)


def series_hash(series: Series) -> bytes:
    """The 8 bytes that stand for a series: the ``_id`` of its document and the head of its candles' ids."""
    return blake2b(series.key.encode(), digest_size=8).digest()


def document_id(series_hash: bytes, timestamp_ms: int) -> ObjectId:
    """The ``_id`` of the candle that opens at ``timestamp_ms`` (Unix milliseconds, 1970 to 2106).

    Raises:
        OverflowError: If the time does not fit.
    """
    return ObjectId(series_hash + (timestamp_ms // 1000).to_bytes(4, "big"))


def opens_at(id_: ObjectId) -> int:
    """When a candle opens that has this ``_id``, Unix milliseconds."""
    return int.from_bytes(id_.binary[8:]) * 1000


def id_range(series: Series, since_ms: int | None, until_ms: int | None) -> Document | None:
    """What the ids of candles satisfy that open in this range (Unix milliseconds, inclusive); None: none can."""
    first = 0 if since_ms is None else max(0, -(-since_ms // 1000))
    last = MAX_SECONDS if until_ms is None else min(MAX_SECONDS, until_ms // 1000)
    if first > last:
        return None
    head = series_hash(series)
    return {"$gte": document_id(head, first * 1000), "$lte": document_id(head, last * 1000)}


def series_document(series: Series) -> Document:
    """The fields of a series' own document."""
    return {"exchange": series.exchange, "pair": series.pair, "interval": series.interval.value}


def document_of(candle: Candle) -> Document:
    """A candle as it is stored.

    Raises:
        DecimalException: If a number does not fit into 34 digits.
        OverflowError: If the open time does not fit into an ``_id``.
    """
    document = {
        "_id": document_id(series_hash(candle.series), candle.timestamp),
        "exchange": candle.exchange,
        "pair": candle.pair,
        "interval": candle.interval.value,
        "timestamp": Int64(candle.timestamp),
        "open": to_decimal128(candle.open),
        "high": to_decimal128(candle.high),
        "low": to_decimal128(candle.low),
        "close": to_decimal128(candle.close),
        "volume": to_decimal128(candle.volume),
        "state": candle.state.value,
        "rev": Int64(candle.rev),
    }
    return document if candle.interval is Interval.M1 else document | {"minutes": Int64(candle.minutes)}


def candle_of(series: Series, document: Mapping[str, Any]) -> Candle:
    """The candle in a document that we wrote."""
    return Candle(
        exchange=series.exchange,
        pair=series.pair,
        interval=series.interval,
        timestamp=int(document["timestamp"]),
        open=from_decimal128(document["open"]),
        high=from_decimal128(document["high"]),
        low=from_decimal128(document["low"]),
        close=from_decimal128(document["close"]),
        volume=from_decimal128(document["volume"]),
        state=_STATES[document["state"]],
        rev=int(document["rev"]),
        minutes=int(document.get("minutes", 1)),
    )


def candle_or_none(document: Mapping[str, Any]) -> Candle | None:
    """The candle of a document that may have been written or altered by anyone."""
    try:
        series = Series(document["exchange"], document["pair"], _INTERVALS[document["interval"]])
        candle = candle_of(series, document)
        hash(candle)  # a signalling NaN or a list inside: neither can be compared
        return candle
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError):
        return None


def series_of(document: Mapping[str, Any]) -> Series | None:
    """The series in its own document; None for an interval that we do not know."""
    interval = _INTERVALS.get(document.get("interval", ""))
    return None if interval is None else Series(document["exchange"], document["pair"], interval)
