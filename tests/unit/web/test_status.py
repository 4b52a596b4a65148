"""What the service's status makes of what programs say of themselves."""

from dataclasses import dataclass
from typing import Any

import pytest

from tests.unit.web.memory import Served
from web.status import NEW_FOR_MS, SILENT_AFTER_MS, Heard, ServiceStatus, status_of
from workers.policies import POLICIES
from workers.presence import Program

NOW = 1_606_166_229_356


def program(name: str, *, silent_ms: int = 0, up_ms: int = 2 * NEW_FOR_MS, **facts: Any) -> Program:
    return Program(name, f"host:{name}", NOW - up_ms, NOW - silent_ms, **facts)


def status(*programs: Program) -> ServiceStatus:
    return status_of(Heard(NOW, list(programs)))


@dataclass(frozen=True)
class Said:
    silent_ms: int
    up_ms: int
    state: str


@pytest.mark.parametrize(
    "said",
    [
        Said(silent_ms=0, up_ms=NEW_FOR_MS, state="up"),
        Said(silent_ms=SILENT_AFTER_MS - 1, up_ms=NEW_FOR_MS, state="up"),
        Said(silent_ms=0, up_ms=NEW_FOR_MS - 1, state="started"),
        Said(silent_ms=SILENT_AFTER_MS, up_ms=NEW_FOR_MS - 1, state="silent"),
        Said(silent_ms=SILENT_AFTER_MS, up_ms=NEW_FOR_MS, state="silent"),
    ],
    ids=str,
)
def test_a_program_is_up_newly_started_or_silent(said: Said) -> None:
    (found,) = status(program("ws", silent_ms=said.silent_ms, up_ms=said.up_ms)).programs

    assert found.state == said.state


def test_a_stage_is_what_its_living_bridges_say() -> None:
    said = status(
        program("bridge-persist", lag=3, in_flight=2, assigned=5, partitions=8),
        program("bridge-persist", lag=4, in_flight=1, paused=True, assigned=3, partitions=8),
        program("bridge-persist", lag=100, in_flight=100, without_workers=True, silent_ms=SILENT_AFTER_MS),
        program("workers-persist"),
    )

    persist = said.stages[0]
    assert (persist.stage, persist.bridges, persist.lag, persist.in_flight) == ("persist", 2, 7, 3)
    assert (persist.paused, persist.without_workers) == (True, False)


@pytest.mark.parametrize(
    "bridges",
    [
        [program("bridge-persist", lag=3, assigned=5, partitions=8)],
        [program("bridge-persist", lag=3, assigned=8, partitions=8), program("bridge-persist")],
        [program("bridge-persist", assigned=8)],
    ],
    ids=["partitions are nobody's", "one says nothing", "Kafka does not answer"],
)
def test_lag_is_told_only_if_all_of_it_is_known(bridges: list[Program]) -> None:
    assert status(*bridges).stages[0].lag is None


def test_of_a_stage_without_a_bridge_nothing_is_known() -> None:
    said = status(program("bridge-fanout"))

    assert [each.stage for each in said.stages] == list(POLICIES)
    assert [(each.bridges, each.lag, each.in_flight) for each in said.stages] == [
        (0, None, None),
        (1, None, None),
        (0, None, None),
        (0, None, None),
    ]


@pytest.mark.parametrize(
    ("programs", "letters"),
    [
        ([], None),
        ([program("bridge-persist")], None),
        ([program("bridge-persist", dead_letters=0)], 0),
        ([program("bridge-persist", dead_letters=2), program("bridge-persist", dead_letters=3)], 3),
        ([program("bridge-persist", dead_letters=2, silent_ms=SILENT_AFTER_MS)], None),
    ],
)
def test_dead_letters_are_those_that_somebody_counted(programs: list[Program], letters: int | None) -> None:
    assert status(*programs).dead_letters == letters


def test_it_is_answered_and_503_while_nobody_can_say() -> None:
    served = Served()
    served.programs.programs = [program("ws", clients=7)]

    answer = served.get("/api/status")
    served.programs.away = True
    away = served.get("/api/status")

    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert answer.json["programs"][0]["clients"] == 7
    assert away.status_code == 503
    assert "redis.internal" not in away.text
