"""What `web.gthread` and `gunicorn.conf.py` rely on in gunicorn."""

import inspect

from gunicorn.config import Config  # type: ignore[import-untyped]
from gunicorn.workers import gthread  # type: ignore[import-untyped]


def test_a_handler_can_hand_a_connection_back_to_the_poller() -> None:
    source = inspect.getsource(gthread.ThreadWorker.finish_request)

    assert "_DEFER" in source
    assert gthread._DEFER is not None


def test_the_steps_that_are_overridden_take_what_they_took() -> None:
    worker, connection = gthread.ThreadWorker, gthread.TConn

    signatures = [
        list(inspect.signature(step).parameters)
        for step in (worker.handle, worker.handle_request, worker.notify, connection.wait_for_data)
    ]

    assert signatures == [["self", "conn"], ["self", "req", "conn"], ["self"], ["self", "timeout"]]
    assert "self.notify()" in inspect.getsource(worker.run)


def test_the_control_socket_can_be_switched_off() -> None:
    config = Config()

    config.set("control_socket_disable", True)

    assert config.control_socket_disable is True
