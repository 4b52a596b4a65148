"""``python -m web export``: history into a file, with the memory of one page, and resumed where it was interrupted.

What has come lies in ``FILE.part``, and ``FILE.progress`` says how much of that is good and what it is of. Both are on
the disk before the next page is asked for, so at whatever moment this ends, the same command goes on behind the last
whole page. The file gets its name once it is complete.
"""

import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec

from ingest.candle import Interval
from ingest.masking import mask_password
from web.client import Client
from web.client.paging import Range
from web.terminal.layouts import LAYOUTS, PAGE, ExportFormat, Layout, require_parquet, write_parquet

#: Shows how far something is: what, and of how many candles; yields what is told how many more are done.
ShowProgress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


class ExportError(Exception):
    """Raised when a file cannot be written or continued; the text is the sentence."""


class Request(msgspec.Struct, frozen=True):
    """What is to be exported, as it was written: the same words later mean the same export."""

    url: str
    pair: str
    exchange: str | None
    interval: str
    since: str | None
    until: str | None
    finals_only: bool
    format: ExportFormat


class Progress(msgspec.Struct):
    """How far an export is; times in Unix milliseconds, fixed when it began."""

    request: Request
    since_ms: int | None
    until_ms: int
    #: The open time behind which it goes on, None: nothing has come yet.
    behind_ms: int | None = None
    candles: int = 0
    #: How much of ``FILE.part`` is good.
    bytes: int = 0
    is_complete: bool = False


@dataclass(frozen=True, slots=True)
class Export:
    """A file to be.

    Args:
        target: Its name.
        progress: How far it is, and what it is of.
    """

    target: Path
    progress: Progress

    def run(self, client: Client, show_progress: ShowProgress) -> int:
        """Read what is missing and give the file its name; how many candles are in it.

        Raises:
            ClientError: If the server does not answer, or refuses; what has come is kept.
            ExportError: If the file cannot be written or continued.
        """
        with _as_sentence(self._part), self._opened() as part:
            if not self.progress.is_complete:
                self._read(client, part, show_progress)
            # Still locked: the same command, started again, must not write what this one gives its name.
            self._finish(show_progress)
        return self.progress.candles

    @property
    def how_to_go_on(self) -> str:
        """What to say to somebody whose export ended before it was complete."""
        return f"{self.progress.candles:,} candles are in {self._part}: the same command goes on behind them"

    @property
    def _part(self) -> Path:
        return _beside(self.target, ".part")

    @contextmanager
    def _opened(self) -> Iterator[IO[bytes]]:
        with _locked(self._part) as part:
            if part.seek(0, os.SEEK_END) < self.progress.bytes:
                raise ExportError(f"{self._part} is shorter than it was: remove it to begin anew")
            part.truncate(self.progress.bytes)
            part.seek(self.progress.bytes)
            try:
                yield part
            finally:
                if not self.progress.bytes and not self.progress.is_complete:
                    # Nothing to go on behind. Still locked, so it is nobody else's.
                    self._part.unlink(missing_ok=True)

    def _read(self, client: Client, part: IO[bytes], show_progress: ShowProgress) -> None:
        progress, interval_ms = self.progress, Interval(self.progress.request.interval).milliseconds
        begin_ms, end_ms = _span_of(client, progress)
        reached_ms = progress.behind_ms or begin_ms
        with show_progress(str(self.target), max(1, (end_ms - reached_ms) // interval_ms)) as advance:
            while not progress.is_complete:
                self._read_page(client, part)
                now_ms = end_ms if progress.is_complete else progress.behind_ms or reached_ms
                advance(max(0, now_ms - reached_ms) // interval_ms)
                reached_ms = now_ms

    def _read_page(self, client: Client, part: IO[bytes]) -> None:
        """Append the next page."""
        progress, layout = self.progress, LAYOUTS[self.progress.request.format]
        page = layout.page(client.get(layout.path, self._parameters(layout)))
        if progress.bytes == 0:
            part.write(layout.head)
        if page.count:
            part.write((layout.between if progress.candles else b"") + page.rows)
        if page.count < PAGE:
            part.write(layout.tail)
        part.flush()
        os.fsync(part.fileno())
        progress.is_complete = page.count < PAGE
        progress.candles += page.count
        progress.behind_ms = progress.behind_ms if page.last_ms is None else page.last_ms
        progress.bytes = part.tell()
        _save(progress, _beside(self.target, ".progress"))

    def _parameters(self, layout: Layout) -> dict[str, str]:
        progress, request = self.progress, self.progress.request
        wanted = Range(
            pair=request.pair,
            exchange=request.exchange,
            interval=request.interval,
            since_ms=progress.since_ms,
            until_ms=progress.until_ms,
            finals_only=request.finals_only,
        )
        page = {} if progress.behind_ms is None else {"page": str(progress.behind_ms)}
        return wanted.parameters() | {"format": layout.answer, "order": "asc", "limit": str(PAGE)} | page

    def _finish(self, show_progress: ShowProgress) -> None:
        finished = self._part
        if self.progress.request.format is ExportFormat.PARQUET:
            finished = _beside(self.target, ".parquet-part")
            with show_progress(f"{self.target}, row groups", self.progress.candles) as advance:
                write_parquet(self._part, finished, advance)
        os.replace(finished, self.target)
        # The name is there; from here on nothing is to be continued.
        _beside(self.target, ".progress").unlink()
        self._part.unlink(missing_ok=True)


def prepare(target: Path, request: Request, milliseconds_of: Callable[[str], int], now_ms: int) -> Export:
    """The export of this request into this file; it goes on with an earlier one that was interrupted.

    Raises:
        ExportError: If another export into the same file was interrupted, or the file cannot be written.
        NotInstalled: If the format needs a package that is missing.
    """
    if request.format is ExportFormat.PARQUET:
        require_parquet()
    # It lies beside the file for as long as an export is interrupted.
    request = msgspec.structs.replace(request, url=mask_password(request.url))
    with _as_sentence(target):
        target = _file_of(target, request)
        held = _load(_beside(target, ".progress")) if _beside(target, ".part").exists() else None
    if held is not None:
        if held.request != request:
            raise ExportError(
                f"{_beside(target, '.part')} is of another export that was interrupted: repeat that one's command, "
                "or remove the file to begin anew"
            )
        return Export(target, held)
    since_ms = None if request.since is None else milliseconds_of(request.since)
    until_ms = now_ms if request.until is None else milliseconds_of(request.until)
    if since_ms is not None and since_ms > until_ms:
        raise ExportError(f"--from {request.since} is after --to {request.until}: expected the earlier time first")
    return Export(target, Progress(request, since_ms, until_ms))


def freqtrade_name(pair: str, interval: Interval) -> str:
    """The name by which freqtrade looks for a pair's candles in its data folder: ``BTC_USD-5m.json``."""
    return f"{pair.replace('-', '_')}-{interval.value}.json"


def _span_of(client: Client, progress: Progress) -> tuple[int, int]:
    """The open times of the first and the last candle, as far as they are known: beyond them nothing is to be read."""
    request, since_ms = progress.request, progress.since_ms or 0
    for series in client.pairs():
        fits = (series.pair, series.interval) == (request.pair, request.interval)
        if fits and request.exchange in (None, series.exchange):
            earliest = since_ms if series.earliest is None else max(series.earliest, since_ms)
            return earliest, progress.until_ms if series.newest is None else min(series.newest, progress.until_ms)
    return since_ms, progress.until_ms


def _file_of(target: Path, request: Request) -> Path:
    """The file that gets its name when it is complete, and may have it already."""
    if request.format is ExportFormat.FREQTRADE and target.is_dir():
        target = target / freqtrade_name(request.pair, Interval(request.interval))
    if target.is_dir() or not target.parent.is_dir():
        raise ExportError(f"{target}: expected the name of a file in a folder that exists")
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(target.stat().st_mode):
            raise ExportError(f"{target} is no regular file and must not be replaced: expected another name")
    # The name would replace a link, not what it leads to.
    return Path(os.path.realpath(target)) if target.is_symlink() else target


@contextmanager
def _as_sentence(file: Path) -> Iterator[None]:
    """While files are written: a full disk, a folder that is not ours and the like become an `ExportError`."""
    try:
        yield
    except BrokenPipeError:  # of those who do not read our progress
        raise
    except OSError as error:
        raise ExportError(f"{error.filename or file}: {error.strerror or error}") from error


@contextmanager
def _locked(path: Path) -> Iterator[IO[bytes]]:
    """The file of this name, made if there is none, while no other process may write it."""
    while True:
        # Appending would put what comes behind a half-written page, and "w" empty what another one writes.
        with open(path, "r+b", opener=lambda name, flags: os.open(name, flags | os.O_CREAT, 0o666)) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ExportError(f"{path} is being written by another process") from None
            if _has_name(file, path):
                yield file
                return
            # Whoever had it until just now has removed it, or given it its name.


def _has_name(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _beside(target: Path, ending: str) -> Path:
    return target.with_name(target.name + ending)


def _load(path: Path) -> Progress | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Progress)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise ExportError(f"{path} cannot be read, remove it to begin anew: {error}") from None


def _save(progress: Progress, path: Path) -> None:
    beside = _beside(path, ".new")
    with beside.open("wb") as file:
        file.write(msgspec.json.encode(progress))
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
