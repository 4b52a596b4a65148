import pytest

from deploy.native.supervision import Status
from deploy.native.waiting import Patience, hopeless


@pytest.mark.parametrize(
    ("state", "exit_status", "deaths", "verdict"),
    [
        ("RUNNING", 0, 0, False),
        ("STARTING", 0, 1, False),
        ("BACKOFF", 1, 3, False),  # its service may come yet
        ("BACKOFF", 2, 0, False),  # a port that its predecessor still held looks the same
        ("BACKOFF", 2, 1, True),
        ("BACKOFF", 1, 6, True),
        ("FATAL", 0, 0, True),
    ],
)
def test_program_is_given_up_only_when_waiting_cannot_help(
    state: str, exit_status: int, deaths: int, verdict: bool
) -> None:
    status = Status("ingest", state, pid=0, seconds_up=0, exit_status=exit_status)

    given_up = hopeless(status, deaths)

    assert given_up is verdict


def test_waiting_ends_when_the_same_kind_of_reason_lasts_without_a_break() -> None:
    moments = iter([0.0, 0.0, 19.0, 30.0, 30.0, 49.9, 50.0])
    patience = Patience(20.0, now=lambda: next(moments))

    ended = [patience.ended_by(reason) for reason in ["away", "away", None, "away", "gone", "away"]]

    assert ended == [False, False, False, False, False, True]
