"""Raw documents to rows, against PyMongo's own decoder."""

from decimal import Decimal
from typing import Any
from unittest.mock import Mock

import bson
import pytest
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from hypothesis import given
from hypothesis import strategies as st

from ingest.candle import State
from workers import stored_rows
from workers.stored_rows import RowDecoder, StoredRow

NUMBERS = ("open", "high", "low", "close", "volume")

decimals = st.one_of(
    st.decimals(min_value=0, max_value=10**12, places=8, allow_nan=False, allow_infinity=False),
    st.builds(
        lambda digits, exponent: Decimal((0, tuple(digits), exponent)),
        st.lists(st.integers(0, 9), min_size=1, max_size=34),
        st.integers(-60, 30),
    ),
)


def document(**fields: Any) -> dict[str, Any]:
    """A document as the store holds it."""
    values: dict[str, Any] = {
        "_id": bson.ObjectId("f12080219ba2160f5fbc26cc"),
        "exchange": "sim",
        "pair": "BTC-USD",
        "interval": "1m",
        "timestamp": Int64(1_606_166_220_000),
        **dict.fromkeys(NUMBERS, Decimal128("18382.06")),
        "state": "final",
        "rev": Int64(3_406_659_080_527_872),
    }
    return values | fields


def expected(held: dict[str, Any]) -> StoredRow:
    """The row as PyMongo's decimals give it."""
    open_, high, low, close, volume = (str(held[name].to_decimal()) for name in NUMBERS)
    return (
        int(held["timestamp"]),
        open_,
        high,
        low,
        close,
        volume,
        held["state"],
        int(held["rev"]),
        held.get("minutes", 1),
    )


documents = st.builds(
    lambda numbers, seconds, state, rev, pair, minutes: document(
        **{name: Decimal128(number) for name, number in zip(NUMBERS, numbers, strict=True)},
        timestamp=Int64(seconds * 1000),
        state=state.value,
        rev=Int64(rev),
        pair=pair,
        **({} if minutes is None else {"minutes": Int64(minutes)}),
    ),
    st.lists(decimals, min_size=5, max_size=5),
    st.integers(0, 2**32 - 1),
    st.sampled_from(State),
    st.integers(0, 2**53),
    st.sampled_from(["BTC-USD", "ETH-USD"]),
    st.none() | st.integers(1, 1440),
)


@given(st.lists(documents, max_size=8))
def test_reads_what_pymongo_reads(held: list[dict[str, Any]]) -> None:
    batch = b"".join(map(bson.encode, held))

    assert RowDecoder().decode(batch) == [expected(each) for each in held]


def test_larger_candles_have_one_layout_whatever_they_are_made_of(monkeypatch: pytest.MonkeyPatch) -> None:
    held = [document(interval="1h", minutes=Int64(number)) for number in range(1, 61)]
    make = Mock(wraps=stored_rows._layout)
    monkeypatch.setattr(stored_rows, "_layout", make)

    rows = RowDecoder().decode(b"".join(map(bson.encode, held)))

    assert [row[-1] for row in rows] == list(range(1, 61))
    assert make.call_count == 1


@given(documents, st.permutations([*document(), "minutes"]))
def test_the_order_of_the_fields_does_not_matter(held: dict[str, Any], names: list[str]) -> None:
    batch = bson.encode(held) + bson.encode({name: held[name] for name in names if name in held}) + bson.encode(held)

    assert RowDecoder().decode(batch) == [expected(held)] * 3


@pytest.mark.parametrize(
    "foreign",
    [
        document(timestamp=1_606_166_220),  # fits 32 bits, and is stored so by who does not insist on 64
        document(note="a field more"),
        document(note={"nested": [1, 2]}),
        document(minutes=57),
        document(minutes=57.0),
        document(note=None),
    ],
)
def test_documents_of_other_writers_are_read_among_ours(foreign: dict[str, Any]) -> None:
    batch = b"".join(map(bson.encode, [document(), foreign, document()]))

    assert RowDecoder().decode(batch) == [expected(document()), expected(foreign), expected(document())]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("more", [{}, {"note": None}])
def test_what_json_cannot_hold_is_refused(number: str, more: dict[str, Any]) -> None:
    batch = bson.encode(document(close=Decimal128(number), **more))

    with pytest.raises(ValueError, match="not a number"):
        RowDecoder().decode(batch)


def test_a_document_that_lacks_a_value_is_refused() -> None:
    held = document()
    del held["volume"]

    with pytest.raises(KeyError):
        RowDecoder().decode(bson.encode(held))
