"""What ingest really logs when an exchange cannot be had is what the launcher understands."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from deploy.native import program_logs, troubles
from deploy.native.stack import Stack
from deploy.native.troubles import Trouble
from tests.ports import free_port

PAIRS = ("FOO-BAR", "BAR-FOO")


@contextmanager
def running(folder: Path, environment: dict[str, str], command: str, log: Path) -> Iterator[None]:
    with (
        log.open("w") as file,
        subprocess.Popen(
            [sys.executable, "-m", "ingest", command],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[3])} | environment,
            stderr=file,
        ) as process,
    ):
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


def until(check: Callable[[], bool], what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not check():
        assert time.monotonic() < deadline, what()
        time.sleep(0.1)


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_unreachable_exchange_and_rejected_pairs_are_understood(
    log_format: str, kafka_brokers: str, tmp_path: Path
) -> None:
    stack = Stack(tmp_path, {})
    stack.logs.mkdir()
    port = free_port()
    environment = {
        "EXCHANGE": "sim",
        "PAIRS": ",".join(PAIRS),
        "KAFKA_BROKERS": kafka_brokers,
        "SIM_PORT": str(port),
        "SIM_STATE": str(tmp_path / "simulator.json"),
        "HEALTH_PORT": str(free_port()),
        "LOG_FORMAT": log_format,
    }

    def trouble() -> Trouble:
        return troubles.read(program_logs.records(stack, "ingest"), "sim")

    with ExitStack() as processes:
        processes.enter_context(running(tmp_path, environment, "run", stack.logs / "ingest.log"))
        until(lambda: trouble().unreachable != "", trouble)
        before = trouble().of_all(PAIRS)
        processes.enter_context(running(tmp_path, environment, "simulate", stack.logs / "simulate.log"))
        until(lambda: len(trouble().rejected) == 2, trouble)
        after = trouble()

    assert before is not None
    assert before.startswith(f"cannot connect to ws://127.0.0.1:{port}/")
    assert after == Trouble("sim", "", dict.fromkeys(PAIRS, "invalid symbol identifier"))
