"""Candles and feed events to bytes and back.

JSON, because a person with `kcat` can read it. Prices are written and read as JSON numbers without ever becoming a
binary float: what the exchange wrote is what the client gets.
"""

from typing import Final, TypeVar

import msgspec

from ingest.candle import Candle, check_candle, check_not_ahead
from ingest.clock import SystemClock, now_ms
from ingest.errors import CandleError, DecodeError
from ingest.events import FeedEvent

#: Written as ``v`` into every record. A reader that meets another one must not guess.
SCHEMA_VERSION: Final = 1

T = TypeVar("T")


class _Versioned(msgspec.Struct):
    v: int


_encoder = msgspec.json.Encoder(decimal_format="number")
_version_decoder = msgspec.json.Decoder(_Versioned)
_candle_decoder = msgspec.json.Decoder(Candle)
_event_decoder = msgspec.json.Decoder(FeedEvent)
_clock: Final = SystemClock()
_HEAD: Final = b'{"v":%d,' % SCHEMA_VERSION


def encode_candle(candle: Candle) -> bytes:
    """The value of a ``candles`` record: compact JSON, ``v`` first, then the fields in their order."""
    return _HEAD + _encoder.encode(candle)[1:]


def decode_candle(payload: bytes) -> Candle:
    """Read the value of a ``candles`` record; unknown fields are ignored.

    Raises:
        DecodeError: If it is not JSON, has another schema version, lacks a field, cannot be a candle, or lies more
            than a day ahead of this machine's clock.
    """
    candle = _decode(payload, _candle_decoder)
    try:
        check_candle(candle)
        # Here rather than where records are written: whoever reads first must not let it push out a good version.
        check_not_ahead(candle, now_ms(_clock))
    except CandleError as error:
        raise DecodeError(payload, str(error)) from error
    return candle


def encode_event(event: FeedEvent) -> bytes:
    """The value of a ``feeds`` record; fields that say nothing are left out."""
    return _HEAD + _encoder.encode(event)[1:]


def decode_event(payload: bytes) -> FeedEvent:
    """Read the value of a ``feeds`` record; unknown fields are ignored.

    Raises:
        DecodeError: If it is not JSON, has another schema version, or lacks a field.
    """
    return _decode(payload, _event_decoder)


def _decode(payload: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    try:
        version = _version_decoder.decode(payload).v
        if version != SCHEMA_VERSION:
            raise DecodeError(payload, f"schema version is {version}, expected {SCHEMA_VERSION}")
        return decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # the second for text that is not UTF-8
        raise DecodeError(payload, str(error)) from error
    except RecursionError as error:
        raise DecodeError(payload, "JSON is nested too deeply") from error
