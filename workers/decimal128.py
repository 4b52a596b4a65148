"""Decimal to BSON's Decimal128 and back, by its bytes.

PyMongo's own conversion goes through tuples of digits and a context: 80 ms for the five numbers of 1,000 candles. This
reads and writes the layout itself and leaves to PyMongo what does not occur in a candle.

Source: IEEE 754-2008, decimal128, binary integer significand: sign, 14 bits of exponent, 113 bits of significand.
"""

import struct
from decimal import Decimal

from bson.decimal128 import Decimal128

_BIAS = 6176
_HALVES = struct.Struct("<QQ")
_LOW = 2**64 - 1
#: Set together in the second-highest bits, these mean infinity, NaN or a significand that is too large.
_SPECIAL = 3 << 61
_SIGN = 1 << 63


def to_decimal128(value: Decimal) -> Decimal128:
    """Encode a decimal.

    Raises:
        decimal.DecimalException: If it does not fit without rounding.
    """
    sign, digits, exponent = value.as_tuple()
    # Far inside the range (-6176 to 6111) so that no subnormal or clamped number comes this way.
    if not isinstance(exponent, int) or len(digits) > 34 or abs(exponent) > 100:
        return Decimal128(value)
    significand = int("".join(map(str, digits)))
    high = significand >> 64 | (exponent + _BIAS) << 49 | (_SIGN if sign else 0)
    return Decimal128.from_bid(_HALVES.pack(significand & _LOW, high))


def from_decimal128(value: Decimal128) -> Decimal:
    """Decode a decimal, exactly: digits and exponent stay as they were stored."""
    low, high = _HALVES.unpack(value.bid)
    if high & _SPECIAL == _SPECIAL:
        return value.to_decimal()
    significand = (high & (1 << 49) - 1) << 64 | low
    return Decimal(f"{'-' if high & _SIGN else ''}{significand}E{(high >> 49 & 0x3FFF) - _BIAS}")


#: The upper half of a number that has a significand below 2^64 and that many decimal places: every usual price.
_PLACES = {-places + _BIAS << 49: places for places in range(41)}


def to_text(low: int, high: int) -> str:
    """The text of a decimal from the two halves of its bytes, the same as ``str`` of the decimal; exact.

    Raises:
        ValueError: If it is infinite or not a number, which neither a candle nor JSON can hold.
    """
    places = _PLACES.get(high)
    if places is None:
        return _any_to_text(low, high)
    digits = str(low)
    if not places:
        return digits
    point = len(digits) - places
    if point > 0:
        return f"{digits[:point]}.{digits[point:]}"
    # Where `str` changes to an exponent: 0.000001 and 1E-7.
    if point > -6:
        return f"0.{'0' * -point}{digits}"
    return _any_to_text(low, high)


def _any_to_text(low: int, high: int) -> str:
    value = from_decimal128(Decimal128.from_bid(_HALVES.pack(low, high)))
    if not value.is_finite():
        raise ValueError(f"{value} is not a number that a candle can hold")
    return str(value)
