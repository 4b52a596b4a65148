"""Watching the lag goes on while Kafka is away."""

import io
import json
from collections.abc import Iterator, Sequence
from typing import cast

import pytest

import workers.lag
from workers.console import Output
from workers.errors import KafkaUnavailable
from workers.lag import age
from workers.offsets import Lag, Offsets

BEHIND = Lag("persist", "candles", 0, 12, 5, 7, None, 200.0)
CAUGHT_UP = Lag("persist", "candles", 0, 12, 12, 0, 0, None)
AWAY = KafkaUnavailable("kafka:9092", "gone")


class Answers:
    """Stands in for `Offsets`: gives its answers one after the other, then Ctrl-C."""

    def __init__(self, answers: Sequence[list[Lag] | Exception]) -> None:
        self._answers: Iterator[list[Lag] | Exception] = iter(answers)

    def read(self) -> list[Lag]:
        answer = next(self._answers, None)
        if answer is None:
            raise KeyboardInterrupt
        if isinstance(answer, Exception):
            raise answer
        return answer


class Terminal(io.StringIO):
    """Text that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def without_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers.lag, "WATCH_SECONDS", 0)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")


def watch(answers: Sequence[list[Lag] | Exception], stdout: io.StringIO) -> None:
    with pytest.raises(KeyboardInterrupt):
        workers.lag._watch(cast("Offsets", Answers(answers)), Output(stdout=stdout))


def test_a_program_that_watches_is_told_that_kafka_is_away_and_when_it_is_back() -> None:
    stdout = io.StringIO()

    watch([[BEHIND], AWAY, [CAUGHT_UP]], stdout)

    lines = [json.loads(line) for line in stdout.getvalue().splitlines()]
    assert [line.get("behind", line.get("error")) for line in lines] == [7, str(AWAY), 0]


def test_a_person_who_watches_keeps_the_last_table() -> None:
    stdout = Terminal()

    watch([[BEHIND], AWAY], stdout)

    last = stdout.getvalue().rpartition("bridge")[2]
    assert "as it was: Kafka at kafka:9092 does not answer: gone" in last
    assert "3 m 20 s" in last


def test_watching_does_not_begin_without_kafka() -> None:
    with pytest.raises(KafkaUnavailable):
        workers.lag._watch(cast("Offsets", Answers([AWAY])), Output(stdout=io.StringIO()))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.4, "59.4 s"), (200.0, "3 m 20 s"), (7_260.0, "2 h 1 m"), (187_200.0, "2 d 4 h")],
)
def test_ages_have_two_units(seconds: float, text: str) -> None:
    assert age(seconds) == text
