import json
from pathlib import Path

import pytest

from deploy.native import program_logs
from deploy.native.program_logs import Record
from deploy.native.stack import Stack


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    own = Stack(tmp_path, {})
    own.logs.mkdir()
    return own


def write(stack: Stack, *lines: str, name: str = "ingest", mode: str = "a") -> None:
    with (stack.logs / f"{name}.log").open(mode) as file:
        file.writelines(f"{line}\n" for line in lines)


def told(stack: Stack, name: str = "ingest") -> str:
    """What `tail` shows, without its last line."""
    *words, where = program_logs.tail(stack, name).splitlines()
    assert where == f"  the whole log: {stack.logs / f'{name}.log'}"
    return "\n".join(words)


@pytest.mark.parametrize(
    ("line", "record"),
    [
        (
            '{"event": "cannot connect", "level": "warning", "logger": "ingest.feed", "exchange": "kraken",'
            ' "pair": null, "reason": "[Errno -2] Name or service not known", "timestamp": "2026-11-22T19:13:06.1Z"}',
            Record(
                "warning", "cannot connect", {"exchange": "kraken", "reason": "[Errno -2] Name or service not known"}
            ),
        ),
        (
            "2026-11-22T19:13:06.1Z [warning  ] cannot connect, trying on      [ingest.feed] exchange=kraken pair=None "
            "reason='it\\'s [Errno -2]' url=wss://ws.kraken.com/v2",
            Record(
                "warning",
                "cannot connect, trying on",
                {"exchange": "kraken", "reason": "it's [Errno -2]", "url": "wss://ws.kraken.com/v2"},
            ),
        ),
        ("2026-11-22T19:13:06.1Z [info     ] connected                      [ingest]", Record("info", "connected")),
        (
            json.dumps(
                {"event": "stopping", "level": "critical", "exception": "Traceback\n  1/0\nZeroDivisionError: no"}
            ),
            Record("critical", "stopping", {}, "ZeroDivisionError: no"),
        ),
        ("*** Killed ***", None),
        ('{"not": "ours"}', None),
        ('{"event": "cut o', None),
        ("[1, 2]", None),
    ],
)
def test_record_is_read_from_both_log_formats_and_from_nothing_else(line: str, record: Record | None) -> None:
    assert program_logs.parse(line) == record


def test_record_reads_as_a_sentence_that_is_not_endless() -> None:
    texts = [
        str(Record("warning", "cannot connect", {"exchange": "kraken", "reason": "refused"})),
        str(Record("info", "connected")),
        str(Record("critical", "stopping", {}, "ZeroDivisionError: no")),
        str(Record("info", "starting", {"pairs": "BTC-USD," * 100})),
    ]

    assert texts[:3] == [
        "warning: cannot connect (exchange: kraken; reason: refused)",
        "info: connected",
        "critical: stopping: ZeroDivisionError: no",
    ]
    assert len(texts[3]) < 270
    assert texts[3].endswith("…)")


def test_only_lines_of_this_start_are_shown(stack: Stack) -> None:
    write(stack, "of the run before")
    write(stack, "of the run before", name="rest")
    program_logs.mark(stack, program_logs.sizes(stack))
    write(stack, "of this run")

    shown = told(stack), told(stack, "rest"), told(stack, "ws")

    nothing = "    (nothing since it was started)"
    assert shown == ("    of this run", nothing, nothing)


def test_program_that_was_not_restarted_keeps_its_lines(stack: Stack) -> None:
    program_logs.mark(stack, {})
    write(stack, "kept")
    write(stack, "before the restart", name="rest")

    program_logs.mark(stack, program_logs.sizes(stack), ["rest"])

    assert program_logs.lines(stack, "ingest") == ["kept"]
    assert program_logs.lines(stack, "rest") == []


def test_log_that_was_rotated_is_all_of_this_start(stack: Stack) -> None:
    write(stack, "a long line of the run before, longer than what follows")
    program_logs.mark(stack, program_logs.sizes(stack))

    write(stack, "after rotation", mode="w")

    assert program_logs.lines(stack, "ingest") == ["after rotation"]


def test_of_a_huge_log_only_the_newest_whole_lines_are_read(stack: Stack) -> None:
    write(stack, *(f"line {number:06}" for number in range(50_000)))

    lines = program_logs.lines(stack, "ingest")

    assert 20_000 < len(lines) < 22_000
    assert lines == [f"line {number:06}" for number in range(50_000 - len(lines), 50_000)]


def test_tail_shows_each_sentence_once_and_the_newest_twelve(stack: Stack) -> None:
    write(stack, *(f"line {number}" for number in range(20)), *["HEALTH_PORT=1: cannot listen"] * 6)

    shown = told(stack)

    assert shown.splitlines() == [
        *(f"    line {number}" for number in range(9, 20)),
        "    HEALTH_PORT=1: cannot listen",
    ]
