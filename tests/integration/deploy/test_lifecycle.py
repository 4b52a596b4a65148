"""A start that is refused leaves nothing behind: no process, no data."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.native import leftovers, lifecycle, preparation, programs
from deploy.native.errors import StackError
from deploy.native.ports import DEFAULTS, is_free
from deploy.native.stack import Stack


def free_offset() -> int:
    return next(
        offset for offset in range(6100, 9000, 100) if all(is_free(port + offset) for port in DEFAULTS.values())
    )


def data_of(stack: Stack) -> set[Path]:
    """Everything on disk that a start may have made, of this stack."""
    links = [path for path in stack.run_dir.rglob("*") if path.is_symlink()]
    return {path for path in stack.run_dir.iterdir() if path.name != "lock"} | set(links)


@pytest.fixture
def variables() -> dict[str, str]:
    return {"PORT_OFFSET": str(free_offset())}


@pytest.fixture
def stack(tmp_path: Path, variables: dict[str, str]) -> Iterator[Stack]:
    own = Stack(tmp_path / "run", variables)
    yield own
    leftovers.end(own)


def test_taken_port_is_refused_before_anything_is_made(stack: Stack) -> None:
    port = stack.ports.of("rest")
    with socket.create_server(("127.0.0.1", port)), pytest.raises(StackError) as caught:
        lifecycle.up(stack)

    assert str(caught.value) == (
        f"port {port}, for rest, is taken by {Path('/proc/self/comm').read_text().strip()} "
        f"(process {os.getpid()}, in {os.getcwd()}): stop it, "
        f"or run this stack beside it: PORT_OFFSET={stack.ports.offset + 100} make up"
    )
    assert data_of(stack) == set()


@pytest.mark.parametrize(
    ("bad", "sentences"),
    [
        ({"EXCHANGE": "nope"}, ["EXCHANGE='nope': expected one of blockchain, kraken, sim, simkraken"]),
        (
            {"PAIRS": "btc", "LIVE_WINDOW": "0"},
            [
                "PAIRS='btc': expected pairs like BTC-USD, upper case, comma-separated",
                "LIVE_WINDOW='0': expected greater than or equal to 1",
            ],
        ),
        (
            {"WS_PROCESSES": "none"},
            ["WS_PROCESSES='none': expected a valid integer, unable to parse string as an integer"],
        ),
    ],
)
def test_bad_settings_are_all_named_and_nothing_is_started(
    bad: dict[str, str],
    sentences: list[str],
    stack: Stack,
    variables: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(preparation, "set_up", lambda stack: None)  # a test downloads nothing
    variables |= bad

    with pytest.raises(StackError) as caught:
        lifecycle.up(stack)

    assert str(caught.value).splitlines() == sentences
    assert leftovers.find(stack) == []
    assert data_of(stack) == set()


def test_naming_the_programs_makes_no_data(stack: Stack) -> None:
    stack.run_dir.mkdir()

    names = [program.name for program in [*programs.services(stack), *programs.pipeline(stack)]]

    assert "postgres" in names
    assert data_of(stack) == set()
