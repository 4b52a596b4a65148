"""How a command ends: a sentence for what went wrong, and the status of the first error that fits."""

import io
from collections.abc import Callable

import pytest

from ingest.errors import SettingsError
from workers.console import Output
from workers.errors import KafkaUnavailable, TopicMissing, WorkersError
from workers.outcome import status_of

STATUSES: dict[type[Exception], int] = {TopicMissing: 1, WorkersError: 3, SettingsError: 2}


def failing(error: BaseException) -> Callable[[], int]:
    def command() -> int:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "status", "sentences"),
    [
        (TopicMissing("kafka:9092", "candles"), 1, [str(TopicMissing("kafka:9092", "candles"))]),
        (KafkaUnavailable("kafka:9092", "gone\x1b"), 3, ["Kafka at kafka:9092 does not answer: gone\\x1b"]),
        (SettingsError(("A=1: expected 2", "B=3: expected 4")), 2, ["A=1: expected 2", "B=3: expected 4"]),
        (KeyboardInterrupt(), 130, []),
    ],
)
def test_what_goes_wrong_is_a_sentence_and_the_first_status_that_fits(
    error: BaseException, status: int, sentences: list[str]
) -> None:
    stderr = io.StringIO()

    ended = status_of(failing(error), Output(stderr=stderr), STATUSES)

    assert (ended, stderr.getvalue().splitlines()) == (status, sentences)


@pytest.mark.parametrize(("returned", "status"), [(None, 0), (0, 0), (1, 1)])
def test_a_command_that_ends_by_itself_says_its_status(returned: int | None, status: int) -> None:
    assert status_of(lambda: returned, Output(), STATUSES) == status


def test_a_defect_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        status_of(failing(ZeroDivisionError()), Output(), STATUSES)
