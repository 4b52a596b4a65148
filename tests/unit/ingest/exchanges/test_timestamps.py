"""Exchange timestamps to Unix milliseconds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.exchanges.timestamps import unix_ms


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("2026-09-10T17:32:00.000000000Z", 1789061520000),
        ("2026-09-23T04:33:57.057675320Z", 1790138037057),
        ("2026-09-10T17:44:43.2Z", 1789062283200),
        ("2026-09-10T17:32:00Z", 1789061520000),
        ("2026-09-10T19:32:00+02:00", 1789061520000),
    ],
)
def test_reads_what_exchanges_send(text: str, milliseconds: int) -> None:
    assert unix_ms(text) == milliseconds


@pytest.mark.parametrize(
    "text", ["", "2026-09-10", "2026-09-10T17:32:00", "2026-02-30T00:00:00Z", "2026-W01-1T00:00:00Z", 5, None, ["Z"]]
)
def test_anything_else_is_no_time(text: object) -> None:
    assert unix_ms(text) is None


@given(st.from_regex(r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2})\Z"))
def test_impossible_dates_do_not_raise(text: str) -> None:
    assert isinstance(unix_ms(text), int | None)
