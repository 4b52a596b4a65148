"""How exchanges spell numbers and times."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.exchanges.timestamps import unix_ms
from ingest.simulator.spelling import java_number, plain_number, rfc3339

exact = st.decimals(min_value=0, max_value=10**12, places=8)


@pytest.mark.parametrize(
    ("value", "java", "plain"),
    [
        ("8506.30", "8506.3", "8506.3"),
        ("0.0005961", "5.961E-4", "0.0005961"),
        ("0.001", "0.001", "0.001"),
        ("0.00001", "1.0E-5", "0.00001"),
        ("77400", "77400.0", "77400.0"),
        ("9999999.5", "9999999.5", "9999999.5"),
        ("12500000", "1.25E7", "12500000.0"),
        ("0E-8", "0.0", "0.0"),
    ],
)
def test_spells_numbers_as_the_exchange_does(value: str, java: str, plain: str) -> None:
    assert (java_number(Decimal(value)), plain_number(Decimal(value))) == (java, plain)


@given(exact)
def test_no_spelling_changes_a_number(value: Decimal) -> None:
    assert Decimal(java_number(value)) == Decimal(plain_number(value)) == value


@given(st.integers(min_value=0, max_value=4_000_000_000_000), st.integers(min_value=3, max_value=9))
def test_a_time_is_read_as_it_was_written(milliseconds: int, digits: int) -> None:
    text = rfc3339(milliseconds, digits)

    assert (unix_ms(text), len(text)) == (milliseconds, len("2026-09-23T04:33:57.Z") + digits)
