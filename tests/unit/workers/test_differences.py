"""What is said of one candle whose records and document differ, or do not."""

from decimal import Decimal

import pytest

from ingest.candle import Candle, State
from tests.conftest import make_candle
from workers.differences import Difference, Kind, Version, compare_versions

EXPECTED = make_candle(state=State.PROVISIONAL)
TWIN = make_candle(state=State.PROVISIONAL, volume=Decimal(7))
VERSIONS = [Version(3, 41, EXPECTED), Version(3, 42, TWIN)]


@pytest.mark.parametrize("stored", [EXPECTED, TWIN, make_candle(state=State.FINAL)])
def test_one_of_the_versions_or_a_newer_one_is_no_difference(stored: Candle) -> None:
    assert compare_versions("id", VERSIONS, True, stored) is None


@pytest.mark.parametrize(
    ("there", "stored", "kind", "reason"),
    [
        (False, None, Kind.MISSING, "not in the store"),
        (True, None, Kind.ALTERED, "the document holds no candle"),
        (
            True,
            make_candle(state=State.OPEN),
            Kind.OLDER,
            f"rev is {EXPECTED.rev - make_candle(state=State.OPEN).rev} lower",
        ),
        (
            True,
            make_candle(state=State.PROVISIONAL, low=Decimal(1), volume=Decimal(2)),
            Kind.ALTERED,
            "low is 1, expected 18376.035; volume is 2, expected 0.002185",
        ),
    ],
)
def test_a_difference_is_named_with_its_reason(there: bool, stored: Candle | None, kind: Kind, reason: str) -> None:
    difference = compare_versions("id", VERSIONS, there, stored)

    assert difference == Difference(kind, 3, 41, EXPECTED, stored, reason, "id")
