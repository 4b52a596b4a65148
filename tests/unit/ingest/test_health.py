"""Progress and its answer to probes; no socket, no thread."""

from prometheus_client import CollectorRegistry, Counter

from ingest.health import STALL_SECONDS, Progress, _application


def ask(progress: Progress, path: str, registry: CollectorRegistry | None = None) -> tuple[str, bytes]:
    """Status and body of a request, without a server."""
    answered: list[str] = []

    def start_response(status: str, headers: object, exc_info: object = None) -> object:
        answered.append(status)
        return lambda data: None

    application = _application(progress, registry or CollectorRegistry())
    environ = {"PATH_INFO": path, "REQUEST_METHOD": "GET", "QUERY_STRING": ""}
    body = b"".join(application(environ, start_response))  # type: ignore[arg-type]
    return answered[0], body


def test_a_loop_that_turns_is_alive() -> None:
    progress = Progress()
    for _ in range(STALL_SECONDS * 3):
        progress.tick()
        progress.turned()

    assert (progress.stalled, ask(progress, "/livez")) == (False, ("200 OK", b"ok\n"))


def test_a_loop_without_a_turn_for_too_long_is_stalled() -> None:
    progress = Progress()
    stalled = []
    for _ in range(STALL_SECONDS):
        stalled.append(progress.stalled)
        progress.tick()

    assert (any(stalled), progress.stalled) == (False, True)
    assert ask(progress, "/livez") == ("503 Service Unavailable", b"main loop makes no progress\n")


def test_a_process_that_was_frozen_is_not_overdue_when_it_wakes_up() -> None:
    progress = Progress()

    progress.tick()  # however long the tick took

    assert not progress.stalled


def test_serves_metrics() -> None:
    registry = CollectorRegistry()
    Counter("frames_received_total", "Frames.", registry=registry).inc(3)

    status, body = ask(Progress(), "/metrics", registry)

    assert status == "200 OK"
    assert b"frames_received_total 3.0" in body


def test_says_what_there_is_instead_of_an_unknown_path() -> None:
    assert ask(Progress(), "/") == ("404 Not Found", b"try /livez or /metrics\n")
