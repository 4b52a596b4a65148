"""Waiting for a service: said once, counted as progress, and ended by a stop."""

import logging

import pytest

from ingest import waiting
from ingest.health import Progress
from ingest.waiting import StoppedWaiting, wait_for


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "RETRY_SECONDS", 0)


class Service:
    """Comes after so many attempts."""

    def __init__(self, absent: int) -> None:
        self.absent = absent

    def probe(self) -> str:
        self.absent -= 1
        if self.absent >= 0:
            raise ConnectionError("not yet")
        return "here"


def test_a_service_that_is_there_is_not_mentioned(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    assert (wait_for("kafka", Service(0).probe, retry_on=(ConnectionError,)), caplog.messages) == ("here", [])


def test_says_once_that_it_waits_and_once_that_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    found = wait_for("kafka", Service(5).probe, retry_on=(ConnectionError,))

    assert (found, caplog.messages) == ("here", ["waiting for kafka", "kafka is there"])


def test_waiting_is_progress() -> None:
    progress = Progress(stall_ticks=2)
    service = Service(10)

    def probe() -> str:
        progress.tick()
        return service.probe()

    wait_for("kafka", probe, progress=progress, retry_on=(ConnectionError,))

    assert not progress.stalled


def test_a_stop_ends_the_waiting() -> None:
    service = Service(1000)

    with pytest.raises(StoppedWaiting, match="kafka"):
        wait_for("kafka", service.probe, stopping=lambda: service.absent <= 997, retry_on=(ConnectionError,))


def test_an_unexpected_error_is_not_waited_out() -> None:
    def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        wait_for("kafka", broken, retry_on=(ConnectionError,))
