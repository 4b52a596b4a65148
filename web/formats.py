"""Rows to bytes: pure functions."""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from ingest.candle import Candle, Series
from workers.store import series_hash


class Row(msgspec.Struct, gc=False):
    """One element of the answer of ``/api/ohlcv``: these keys, in this order."""

    id_: str = msgspec.field(name="_id")
    close: Decimal
    high: Decimal
    low: Decimal
    open: Decimal
    pair: str
    timestamp: int
    volume: Decimal


# Decimals go out as JSON numbers with the digits they have.
_encoder = msgspec.json.Encoder(decimal_format="number")


def encode_rows(series: Series, candles: Sequence[Candle]) -> bytes:
    """A JSON array of the candles of one series, in the given order."""
    # The same 12 bytes as `workers.store.document_id`, without an object per row.
    head, pair = series_hash(series).hex(), series.pair
    return _encoder.encode(
        [
            Row(
                f"{head}{candle.timestamp // 1000:08x}",
                candle.close,
                candle.high,
                candle.low,
                candle.open,
                pair,
                candle.timestamp,
                candle.volume,
            )
            for candle in candles
        ]
    )


def encode_json(value: object) -> bytes:
    """Any value of ours as JSON, decimals as numbers."""
    return _encoder.encode(value)
