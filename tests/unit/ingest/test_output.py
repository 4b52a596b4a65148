"""Commands whose output nobody reads."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def run_unread(environment: dict[str, str], program: str, *words: str, unread: str) -> tuple[int, bytes]:
    """Run a command one of whose streams has no reader; returns its status and what came out of the other one."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", program, *words],
            cwd=ROOT,
            env=os.environ | environment,
            stdout=writer if unread == "stdout" else subprocess.PIPE,
            stderr=writer if unread == "stderr" else subprocess.PIPE,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writer)
    return ended.returncode, (ended.stdout or b"") + (ended.stderr or b"")


# With a buffer, the last of it is written when the command has ended.
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("ingest", ["check-config"]),
        ("web", ["check-config"]),
        ("web", ["tail", "--help"]),
    ],
)
def test_it_ends_with_141_and_without_a_word_when_nobody_reads(program: str, words: list[str], unbuffered: str) -> None:
    ended = run_unread({"PYTHONUNBUFFERED": unbuffered}, program, *words, unread="stdout")

    assert ended == (141, b"")


def test_it_ends_with_141_when_nobody_reads_its_errors() -> None:
    ended = run_unread({"WS_PORT": "x"}, "web", "check-config", unread="stderr")

    assert ended == (141, b"")


@pytest.mark.parametrize(("closed", "port", "status"), [(">&-", "4000", 0), ("2>&-", "x", 2)])
def test_a_stream_that_was_closed_from_the_start_is_one_that_nobody_wants(closed: str, port: str, status: int) -> None:
    command = f"SIM_PORT={port} {sys.executable} -m ingest check-config {closed}"

    ended = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, timeout=60, check=False)

    assert (ended.returncode, ended.stdout, ended.stderr) == (status, b"", b"")
