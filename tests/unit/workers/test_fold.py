"""A version as a number: newer is higher, equal is equal."""

from decimal import Decimal
from typing import Any

import pytest

from ingest.candle import Interval, State
from ingest.revision import make_rev
from tests.conftest import MINUTE_MS, make_candle
from workers.documents import document_id, series_hash
from workers.fold import key_of, number_of, rev_of


def test_a_newer_version_has_a_higher_number_whatever_its_values() -> None:
    versions = [make_candle(written_us=MINUTE_MS * 1000 + later, volume=Decimal(later % 7)) for later in range(200)]
    final = make_candle(state=State.FINAL)

    numbers = [number_of(each) for each in [*versions, final]]

    assert numbers == sorted(set(numbers))
    assert [rev_of(number) for number in numbers] == [each.rev for each in [*versions, final]]


@pytest.mark.parametrize(
    "change",
    [
        {"exchange": "kraken"},
        {"pair": "BTC-EUR"},
        {"interval": Interval.M5},
        {"timestamp": MINUTE_MS + 60_000},
        *({name: Decimal("18383.39")} for name in ("open", "high", "low", "close", "volume")),
        {"state": State.FINAL},
        {"rev": make_rev(1, MINUTE_MS * 1000 + 1)},
    ],
)
def test_any_changed_field_changes_the_number(change: dict[str, Any]) -> None:
    candle = make_candle()

    assert number_of(make_candle(**{"rev": candle.rev} | change)) != number_of(candle)


def test_zeros_at_the_end_change_nothing() -> None:
    assert number_of(make_candle(volume=Decimal("1.5"))) == number_of(make_candle(volume=Decimal("1.500")))


def test_the_key_is_the_id_of_the_document() -> None:
    candle = make_candle(3)

    assert key_of(candle) == document_id(series_hash(candle.series), candle.timestamp).binary
