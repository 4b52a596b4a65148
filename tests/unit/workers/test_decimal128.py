"""Our Decimal128 against PyMongo's, for every decimal that a candle may hold and some that it may not."""

import decimal
import struct
from decimal import Decimal

import pytest
from bson.decimal128 import Decimal128
from hypothesis import example, given
from hypothesis import strategies as st

from workers.decimal128 import from_decimal128, to_decimal128, to_text

decimals = st.builds(
    lambda negative, digits, exponent: Decimal((int(negative), tuple(digits), exponent)),
    st.booleans(),
    st.lists(st.integers(0, 9), min_size=1, max_size=34),
    st.integers(-120, 120),
)


@given(decimals)
@example(Decimal("0"))
@example(Decimal("-0.00"))
@example(Decimal("9" * 34))
def test_writes_the_same_bytes_as_pymongo(value: Decimal) -> None:
    assert to_decimal128(value).bid == Decimal128(value).bid


@given(decimals)
@example(Decimal("Infinity"))
@example(Decimal("1E+6111"))
def test_reads_the_same_decimal_as_pymongo(value: Decimal) -> None:
    encoded = Decimal128(value)

    assert from_decimal128(encoded).as_tuple() == encoded.to_decimal().as_tuple()


def test_refuses_what_would_be_rounded() -> None:
    with pytest.raises(decimal.DecimalException):
        to_decimal128(Decimal("1" * 35))


@given(decimals)
@example(Decimal("0E-8"))
@example(Decimal("0.000001"))
@example(Decimal("0.0000001"))
@example(Decimal("1E+3"))
def test_writes_the_same_text_as_the_decimal(value: Decimal) -> None:
    low, high = struct.unpack("<QQ", Decimal128(value).bid)

    assert to_text(low, high) == str(value)


@pytest.mark.parametrize("text", ["NaN", "sNaN", "Infinity", "-Infinity"])
def test_what_is_not_a_number_has_no_text(text: str) -> None:
    low, high = struct.unpack("<QQ", Decimal128(text).bid)

    with pytest.raises(ValueError, match="not a number"):
        to_text(low, high)
