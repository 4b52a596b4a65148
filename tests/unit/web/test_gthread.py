"""How long a client may take for its answer, and for each part of a long one."""

import threading
import types

import pytest
from gunicorn.workers import gthread as original  # type: ignore[import-untyped]

from tests.conftest import FakeClock
from web import gthread
from web.taking import Pace


class Socket:
    """A socket that remembers when it was shut down."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock, self.shut_at = clock, 0.0

    def shutdown(self, how: int) -> None:
        self.shut_at = self.shut_at or self._clock.monotonic_seconds


class Connection:
    """The parts of gunicorn's connection that matter here."""

    initialized = True

    def __init__(self, clock: FakeClock) -> None:
        self.sock = Socket(clock)


def seconds_until_cut(clock: FakeClock, monkeypatch: pytest.MonkeyPatch, part_seconds: float | None) -> float:
    """When a client that never takes the last part is cut off; it takes a part each so many seconds, None: never."""
    monkeypatch.setattr(gthread, "time", types.SimpleNamespace(monotonic=clock.monotonic))
    monkeypatch.setattr(original.ThreadWorker, "notify", lambda worker: None)
    monkeypatch.setattr(original.ThreadWorker, "handle", lambda worker, conn: worker.handle_request(None, conn))
    worker = gthread.Worker.__new__(gthread.Worker)
    worker._reading, worker._answering, worker._lock = {}, {}, threading.Lock()
    worker.cfg, worker._pace = types.SimpleNamespace(threads=8), Pace()
    worker.nr_conns, worker.worker_connections = 1, 1000
    conn = Connection(clock)

    def answer(_worker: object, _request: object, _conn: object) -> None:
        since = 0.0
        while not conn.sock.shut_at:
            clock.advance(1)
            since += 1
            if part_seconds is not None and since >= part_seconds:
                gthread.part_taken()
                since = 0.0
            worker.notify()

    monkeypatch.setattr(original.ThreadWorker, "handle_request", answer)
    started = clock.monotonic_seconds
    worker.handle(conn)
    return conn.sock.shut_at - started


@pytest.mark.parametrize(
    ("part_seconds", "expected"),
    [
        (None, gthread.ANSWER_SECONDS + 1),
        (gthread.ANSWER_SECONDS + 5, gthread.ANSWER_SECONDS + 1),
        # The last part that counts is the last one within the ten minutes.
        (50.0, 550 + gthread.ANSWER_SECONDS + 1),
    ],
)
def test_a_client_has_a_minute_for_each_part_and_ten_for_all(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, part_seconds: float | None, expected: float
) -> None:
    assert seconds_until_cut(clock, monkeypatch, part_seconds) == expected


def test_outside_of_an_answer_a_part_means_nothing() -> None:
    gthread.part_taken()

    assert not hasattr(gthread._current, "extend")
