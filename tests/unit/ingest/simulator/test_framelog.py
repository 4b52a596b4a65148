"""A line for every frame."""

from pathlib import Path

import msgspec
import pytest

from ingest.simulator.framelog import FileLog


def test_a_frame_is_in_the_file_at_once_and_exactly_as_sent(tmp_path: Path) -> None:
    path = tmp_path / "new" / "frames.jsonl"
    log = FileLog(path)

    log.note(1606166220000, 7, "blockchain", '{"price":[1,5.961E-4]}')

    assert path.read_text() == (
        '{"at":1606166220000,"connection":7,"exchange":"blockchain","frame":{"price":[1,5.961E-4]}}\n'
    )
    log.close()


def test_a_restart_appends(tmp_path: Path) -> None:
    path = tmp_path / "frames.jsonl"
    for connection in (1, 2):
        log = FileLog(path)
        log.note(0, connection, "kraken", "{}")
        log.close()

    assert [msgspec.json.decode(line)["connection"] for line in path.read_bytes().splitlines()] == [1, 2]


def test_a_frame_that_is_no_json_is_kept_as_text(tmp_path: Path) -> None:
    log = FileLog(tmp_path / "frames.jsonl")

    log.note(0, 1, "kraken", '{"channel":"oh')

    assert msgspec.json.decode((tmp_path / "frames.jsonl").read_bytes())["frame"] == '{"channel":"oh'
    log.close()


def test_a_log_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        FileLog(tmp_path)
