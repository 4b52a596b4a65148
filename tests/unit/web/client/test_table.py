"""Candles as frames of pandas and polars."""

import re
import sys
from decimal import Decimal

import pandas  # type: ignore[import-untyped]
import polars
import pytest

from ingest.candle import State
from tests.conftest import make_candle, minute
from web.client import Candles, NotExact, NotInstalled

CANDLES = Candles([make_candle(0, state=State.FINAL), make_candle(1, close=Decimal("18382.0600000001"))])


def test_a_pandas_frame_has_the_open_time_as_index_and_floats() -> None:
    frame = CANDLES.to_pandas()

    assert list(frame.columns) == ["open", "high", "low", "close", "volume", "state", "rev", "minutes"]
    assert list(frame.index) == [pandas.Timestamp(minute(number), unit="ms", tz="UTC") for number in range(2)]
    assert list(frame["close"]) == [18382.06, 18382.0600000001]
    assert list(frame["rev"]) == [each.rev for each in CANDLES]


def test_a_pandas_frame_is_exact_when_wanted() -> None:
    assert list(CANDLES.to_pandas(exact=True)["close"]) == [each.close for each in CANDLES]


@pytest.mark.parametrize("exact", [False, True])
def test_a_polars_frame_has_a_column_per_field(exact: bool) -> None:
    frame = CANDLES.to_polars(exact=exact)

    number = polars.Decimal(38, 18) if exact else polars.Float64()
    assert dict(frame.schema) == {
        "timestamp": polars.Datetime("ms", "UTC"),
        **dict.fromkeys(("open", "high", "low", "close", "volume"), number),
        "state": polars.String(),
        "rev": polars.Int64(),
        "minutes": polars.Int64(),
    }
    assert frame["close"].to_list() == [each.close if exact else float(each.close) for each in CANDLES]
    assert frame["timestamp"].dt.epoch("ms").to_list() == [minute(0), minute(1)]


@pytest.mark.parametrize(
    "text", ["1E-18", "12345678901234567890.123456789012345678", "1.50000000000000000000000", "0E-30"]
)
def test_an_exact_polars_frame_keeps_every_digit(text: str) -> None:
    candles = Candles([make_candle(volume=Decimal(text))])

    assert candles.to_polars(exact=True)["volume"].to_list() == [Decimal(text)]


@pytest.mark.parametrize("text", ["1E-19", "1.1234567890123456789", "1E+20"])
def test_an_exact_polars_frame_rounds_nothing(text: str) -> None:
    candles = Candles([make_candle(volume=Decimal(text))])

    with pytest.raises(NotExact, match=re.escape(f"to_polars(exact=True) cannot hold {text}: expected at most 20")):
        candles.to_polars(exact=True)


def test_no_candles_are_an_empty_frame_with_the_same_columns() -> None:
    assert list(Candles().to_pandas().columns) == list(CANDLES.to_pandas().columns)
    assert Candles().to_polars().schema == CANDLES.to_polars().schema


@pytest.mark.parametrize("package", ["pandas", "polars"])
def test_a_missing_package_is_one_sentence(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(NotInstalled) as caught:
        getattr(CANDLES, f"to_{package}")()

    assert str(caught.value) == f"to_{package} needs {package}, which is not installed: pip install {package}"
