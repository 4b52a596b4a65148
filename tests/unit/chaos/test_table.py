"""The table of faults that the documentation shows."""

from typing import Any

from tests.chaos.faults import FAULTS
from tests.chaos.table import PROMISES, table


def result(violations: dict[str, list[str]], *happened: tuple[str, float | None, bool]) -> dict[str, Any]:
    """One line of results: faults with the seconds until they had recovered, and whether something disturbed that."""
    return {
        "happened": [{"fault": name, "recovered_seconds": took, "disturbed": other} for name, took, other in happened],
        "violations": violations,
    }


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_recovery_is_counted_where_nothing_else_disturbed_it() -> None:
    runs = [
        result({}, ("kill:redis", 3.0, False), ("stop:ws", 9.0, True)),
        result({}, ("kill:redis", 5.0, False)),
        result({}, ("kill:redis", 50.0, True), ("kill:redis", None, False)),
    ]

    rows = [cells(line) for line in table(runs)][2:]

    assert [(row[0], row[2], row[3]) for row in rows] == [("kill:redis", "4", "4.0 / 5.0 s"), ("stop:ws", "1", "–")]


def test_what_was_violated_is_told_apart() -> None:
    found = {
        "I1": ["4 documents hold 3 candles", "sim|A@1: nothing is stored"],
        "I3": ["sim|A@2: 1 of 2 frames are neither in Kafka nor known as unseen"],
        "I4": ["steady-1: A goes back", "steady-2: A goes back"],
        "deaths": ["ws ended by itself"],
    }

    (row,) = [cells(line) for line in table([result(found, ("flush:redis", 1.0, False))])][2:]

    assert row[4] == "2 / 1 / 2 / 1"


def test_links_are_one_row_for_each_kind_of_fault() -> None:
    runs = [result({}, ("cut:ws/redis", 1.0, False), ("cut:ingest/kafka", 2.0, False), ("cut:ws/redis", 3.0, False))]

    (row,) = [cells(line) for line in table(runs)][2:]

    assert row == ["cut:*", row[1], "3", "2.0 / 3.0 s", "0 / 0 / 0 / 0", "`make chaos FAULTS='cut:*'`"]


def test_every_fault_is_promised_something() -> None:
    for name in FAULTS:
        (row,) = [cells(line) for line in table([result({}, (name, None, False))])][2:]

        assert row[1] in [promise for _, promise in PROMISES]
