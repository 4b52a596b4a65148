"""A real supervisor with small programs: changes, crashes, and what a killed supervisor leaves behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.native import leftovers, program_logs, supervisor_config, waiting
from deploy.native.errors import StackError
from deploy.native.programs import Program
from deploy.native.stack import MARKER, PROGRAM_MARKER, Stack
from deploy.native.supervision import Supervisor

#: Has a child in a session of its own, as some servers do; neither passes signals on.
_WITH_CHILD = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
time.sleep(600)
"""


def program(stack: Stack, name: str, source: str = "import time; time.sleep(600)", **settings: str) -> Program:
    environment = {MARKER: str(stack.run_dir), PROGRAM_MARKER: name, **settings}
    return Program(name, (sys.executable, "-c", source.strip().replace("\n", "; ")), environment)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    own = Stack(tmp_path, {})
    own.logs.mkdir()
    yield own
    leftovers.end(own)


@pytest.fixture
def supervisor(stack: Stack) -> Supervisor:
    return Supervisor(stack)


def wait_until(check: Callable[[], bool], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.05)


def pids(supervisor: Supervisor) -> dict[str, int]:
    return {status.name: status.pid for status in supervisor.statuses() if status.state == "RUNNING"}


def start(stack: Stack, supervisor: Supervisor, *programs: Program) -> dict[str, int]:
    supervisor_config.write(stack, programs)
    supervisor.start()
    wait_until(lambda: len(pids(supervisor)) == len(programs))
    return pids(supervisor)


def test_update_touches_only_what_changed(stack: Stack, supervisor: Supervisor) -> None:
    before = start(stack, supervisor, *(program(stack, name) for name in ("same", "changed", "removed")))

    supervisor_config.write(
        stack, [program(stack, "same"), program(stack, "changed", PAIRS="BTC-USD"), program(stack, "added")]
    )
    supervisor.update()
    wait_until(lambda: set(pids(supervisor)) == {"same", "changed", "added"})

    after = pids(supervisor)
    assert after["same"] == before["same"]
    assert after["changed"] != before["changed"]
    assert not Path(f"/proc/{before['removed']}").exists()


def test_update_without_a_change_changes_nothing(stack: Stack, supervisor: Supervisor) -> None:
    before = start(stack, supervisor, program(stack, "same"))

    supervisor_config.write(stack, [program(stack, "same")])
    supervisor.update()

    assert pids(supervisor) == before


def test_killed_program_is_started_again(stack: Stack, supervisor: Supervisor) -> None:
    before = start(stack, supervisor, program(stack, "ingest"))

    os.kill(before["ingest"], signal.SIGKILL)
    wait_until(lambda: pids(supervisor).get("ingest", before["ingest"]) != before["ingest"])

    assert list(pids(supervisor)) == ["ingest"]


def test_shut_down_leaves_no_process(stack: Stack, supervisor: Supervisor) -> None:
    start(stack, supervisor, program(stack, "ingest"), program(stack, "kafka"))

    supervisor.shut_down()
    wait_until(lambda: leftovers.find(stack) == [])

    assert not supervisor.is_running()


def test_what_a_killed_supervisor_leaves_is_found_and_ended(stack: Stack, supervisor: Supervisor) -> None:
    start(stack, supervisor, program(stack, "rest", _WITH_CHILD))
    wait_until(lambda: len([each for each in leftovers.find(stack) if each.program == "rest"]) == 2)
    (daemon,) = [each.pid for each in leftovers.find(stack) if each.program == "supervisord"]
    os.kill(daemon, signal.SIGKILL)
    wait_until(lambda: daemon not in {each.pid for each in leftovers.find(stack)})

    ended = leftovers.end(stack)

    assert ended == ["rest"]
    assert leftovers.find(stack) == []


def test_frozen_supervisor_is_ended_before_it_can_restart_anything(stack: Stack, supervisor: Supervisor) -> None:
    start(stack, supervisor, program(stack, "ingest"))
    (daemon,) = [each.pid for each in leftovers.find(stack) if each.program == "supervisord"]
    os.kill(daemon, signal.SIGSTOP)

    ended = leftovers.end(stack)

    assert ended == ["ingest", "supervisord"]
    assert leftovers.find(stack) == []


def test_processes_of_another_stack_are_left_alone(stack: Stack, tmp_path: Path) -> None:
    other = {MARKER: f"{stack.run_dir}-other", PROGRAM_MARKER: "ingest"}
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env=os.environ | other) as bystander:
        try:
            ended = leftovers.end(stack)

            assert ended == []
            assert bystander.poll() is None
        finally:
            bystander.kill()


def test_wait_for_an_answer_ends_when_restarted_programs_run(stack: Stack, supervisor: Supervisor) -> None:
    own = program(stack, "workers-persist-1")
    before = start(stack, supervisor, own)

    supervisor.restart("workers-persist-1")
    waiting.until_answer(stack, supervisor, [own])

    (status,) = supervisor.statuses()
    assert status.state == "RUNNING"
    assert status.pid != before["workers-persist-1"]


def test_restarted_program_that_ends_again_is_named_with_what_it_said_since(
    stack: Stack, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    (stack.logs / "ingest.log").write_text("of the run before\n")
    program_logs.mark(stack, program_logs.sizes(stack))
    monkeypatch.setattr(waiting, "ANSWER_SECONDS", 3.0)
    own = program(stack, "ingest", "raise SystemExit('no such exchange')")
    supervisor_config.write(stack, [own])
    supervisor.start()

    with pytest.raises(StackError) as caught:
        waiting.until_answer(stack, supervisor, [own])

    assert str(caught.value) == (
        f"ingest does not answer\n    no such exchange\n  the whole log: {stack.logs / 'ingest.log'}"
    )
