"""Where an export may write, what it leaves behind, and what is said when it cannot."""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import msgspec
import pytest

from tests.conftest import MINUTE_MS
from web.answers import KnownSeries
from web.client import Client, Refused, Unavailable
from web.terminal.export import Export, ExportError, Request, prepare
from web.terminal.layouts import ExportFormat

URL = "http://user:secret@127.0.0.1:8080"
ROW = b'{"pair":"BTC-USD","timestamp":1606166220000}\n'


class Server:
    """Stands in for `Client`: gives its answers one after the other."""

    def __init__(self, *answers: bytes | Exception) -> None:
        self._answers = iter(answers)

    def pairs(self) -> list[KnownSeries]:
        return []

    def get(self, _path: str, _parameters: dict[str, str]) -> bytes:
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        return answer


@contextmanager
def unseen(_what: str, _total: int) -> Iterator[Callable[[int], None]]:
    yield lambda _count: None


@contextmanager
def unread(_what: str, _total: int) -> Iterator[Callable[[int], None]]:
    def advance(_count: int) -> None:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    yield advance


def prepared(target: Path, url: str = URL, form: ExportFormat = ExportFormat.NDJSON) -> Export:
    return prepare(target, Request(url, "BTC-USD", None, "1m", None, None, False, form), int, MINUTE_MS)


def run(target: Path, *answers: bytes | Exception) -> int:
    return prepared(target).run(cast("Client", Server(*answers)), unseen)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# -- where it may write -----------------------------------------------------------------------------------------------


def a_fifo(folder: Path) -> Path:
    os.mkfifo(folder / "fifo")
    return folder / "fifo"


def a_link_to_a_device(folder: Path) -> Path:
    (folder / "link").symlink_to("/dev/null")
    return folder / "link"


def a_link_in_a_circle(folder: Path) -> Path:
    (folder / "link").symlink_to("link")
    return folder / "link"


def an_unreadable_progress(folder: Path) -> Path:
    (folder / "file.part").touch()
    (folder / "file.progress").mkdir()
    return folder / "file"


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (a_fifo, "{0}/fifo is no regular file and must not be replaced: expected another name"),
        (a_link_to_a_device, "{0}/link is no regular file and must not be replaced: expected another name"),
        (a_link_in_a_circle, "{0}/link: Too many levels of symbolic links"),
        (an_unreadable_progress, "{0}/file.progress: Is a directory"),
        (lambda folder: folder / ("a" * 300), f"{{0}}/{'a' * 300}: File name too long"),
        (lambda folder: folder / ("a" * 251), f"{{0}}/{'a' * 251}.part: File name too long"),
        (lambda folder: folder, "{0}: expected the name of a file in a folder that exists"),
    ],
)
def test_what_cannot_be_written_is_a_sentence_and_left_as_it_is(
    make: Callable[[Path], Path], sentence: str, tmp_path: Path
) -> None:
    target = make(tmp_path)
    before = names_in(tmp_path)

    with pytest.raises(ExportError) as error:
        prepared(target)

    assert str(error.value) == sentence.format(tmp_path)
    assert names_in(tmp_path) == before


@pytest.mark.parametrize("is_there", [True, False])
def test_a_link_is_written_through(is_there: bool, tmp_path: Path) -> None:
    (tmp_path / "links").mkdir()
    link, file = tmp_path / "links" / "link", tmp_path / "file"
    link.symlink_to("../file")
    if is_there:
        file.write_text("of yesterday")

    count = run(link, ROW)

    assert (count, file.read_bytes(), link.is_symlink()) == (1, ROW, True)
    assert (names_in(tmp_path), names_in(link.parent)) == (["file", "links"], ["link"])


# -- what it leaves behind --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [Refused("unknown_pair", "no such pair"), Unavailable(URL, "gone")])
def test_nothing_is_left_when_nothing_came(error: Exception, tmp_path: Path) -> None:
    with pytest.raises(type(error)):
        run(tmp_path / "file", error)

    assert names_in(tmp_path) == []


def test_what_came_stays_though_nobody_reads_the_progress_and_without_the_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.terminal.export.PAGE", 1)
    target = tmp_path / "file"

    with pytest.raises(BrokenPipeError):
        prepared(target).run(cast("Client", Server(ROW)), unread)

    held = (tmp_path / "file.progress").read_bytes()
    assert names_in(tmp_path) == ["file.part", "file.progress"]
    assert msgspec.json.decode(held)["request"]["url"] == "http://user:***@127.0.0.1:8080"
    # It is the same export, also with a new password.
    assert prepared(target, URL.replace("secret", "new")).progress.candles == 1


# -- who else writes it -----------------------------------------------------------------------------------------------


def test_two_do_not_write_the_same_file(tmp_path: Path) -> None:
    part = tmp_path / "file.part"
    part.write_bytes(ROW)

    with part.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(ExportError) as error:
            run(tmp_path / "file", ROW)

    assert str(error.value) == f"{part} is being written by another process"
    assert part.read_bytes() == ROW


def test_a_folder_without_locks_is_named_as_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(_file: object, _operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)

    with pytest.raises(ExportError, match=r"file\.part: No locks available$"):
        run(tmp_path / "file", ROW)


def test_a_file_that_another_one_completed_just_before_the_lock_is_not_emptied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete, lock = tmp_path / "complete", fcntl.flock

    def lock_late(file: int, operation: int) -> None:
        if not complete.exists():
            (tmp_path / "file.part").rename(complete)
            complete.write_bytes(b"complete")
        lock(file, operation)

    monkeypatch.setattr(fcntl, "flock", lock_late)

    count = run(tmp_path / "file", ROW)

    assert (count, (tmp_path / "file").read_bytes()) == (1, ROW)
    assert complete.read_bytes() == b"complete"
