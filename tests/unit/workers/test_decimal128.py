"""Our Decimal128 against PyMongo's, for every decimal that a candle may hold and some that it may not."""

import decimal
from decimal import Decimal

import pytest
from bson.decimal128 import Decimal128
from hypothesis import example, given
from hypothesis import strategies as st

from workers.decimal128 import from_decimal128, to_decimal128

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
