"""The log format: one shape for every line, and bounded fields."""

import json
import logging
from collections.abc import Iterator

import pytest

from ingest.log import MAX_FIELD_CHARACTERS, configure_logging


@pytest.fixture(autouse=True)
def root_logger_restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_line_is_json_with_its_identities(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")

    logging.getLogger("ingest.feed").warning("gap of %d s", 3, extra={"exchange": "sim"})

    [line] = lines(capsys)
    assert {name: line[name] for name in ("event", "exchange", "level", "logger")} == {
        "event": "gap of 3 s",
        "exchange": "sim",
        "level": "warning",
        "logger": "ingest.feed",
    }
    assert str(line["timestamp"]).endswith("Z")


def test_lines_below_the_level_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("warning", "json")

    logging.getLogger("x").info("quiet")
    logging.getLogger("x").error("loud")

    assert [line["event"] for line in lines(capsys)] == ["loud"]


def test_a_field_that_a_peer_chose_cannot_grow_without_bound(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")

    logging.getLogger("x").info("refused", extra={"reason": "x" * 100_000})

    [line] = lines(capsys)
    assert line["reason"] == "x" * MAX_FIELD_CHARACTERS + "…"


def test_an_exception_is_written_with_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")

    try:
        raise ZeroDivisionError("by zero")
    except ZeroDivisionError:
        logging.getLogger("x").exception("failed")

    [line] = lines(capsys)
    assert "ZeroDivisionError: by zero" in str(line["exception"])


def test_a_line_break_in_a_field_does_not_make_a_second_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")

    logging.getLogger("x").info("refused", extra={"reason": 'a\nb"}'})

    assert [line["reason"] for line in lines(capsys)] == ['a\nb"}']


def test_text_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "text")

    logging.getLogger("ingest.feed").info("connected", extra={"exchange": "sim"})

    line = capsys.readouterr().err
    assert "connected" in line
    assert "exchange=sim" in line


def test_configuring_twice_does_not_write_lines_twice(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    configure_logging("info", "json")

    logging.getLogger("x").info("once")

    assert len(lines(capsys)) == 1
