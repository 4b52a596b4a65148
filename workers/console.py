"""What a person or a program sees of a command: tables on a terminal, JSON lines elsewhere, progress beside them.

Results go to standard output, progress and errors to standard error. Text from outside is made harmless before it
reaches a terminal: a payload could otherwise move the cursor or change the title.
"""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, NoReturn, TextIO

import msgspec
from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

#: How often a progress that nobody watches is written down.
LINE_SECONDS: Final = 5.0

_encoder = msgspec.json.Encoder(decimal_format="number")


class Output:
    """Where a command's results go."""

    def __init__(self, as_json: bool = False, *, stdout: TextIO | None = None, stderr: TextIO | None = None) -> None:
        """``as_json``: JSON lines even on a terminal."""
        self._stdout, self._stderr = stdout or sys.stdout, stderr or sys.stderr
        self.as_json = as_json or not self._stdout.isatty()
        self._people = _Console(file=self._stdout, highlight=False)
        self._watchers = _Console(file=self._stderr, highlight=False)

    def line(self, record: Mapping[str, Any]) -> None:
        """Write one JSON line; decimals as exact numbers."""
        self._stdout.write(_encoder.encode(record).decode() + "\n")
        self._stdout.flush()

    def say(self, text: str, style: str = "") -> None:
        """Write a sentence for people."""
        self._people.print(Text(text, style), soft_wrap=True)

    def error(self, text: str) -> None:
        """Write a sentence about what went wrong."""
        print(harmless(text), file=self._stderr, flush=True)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Write a table for people."""
        self._people.print(make_table(columns, rows))

    @property
    def people(self) -> Console:
        """The terminal itself."""
        return self._people

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """Show how far ``what`` has come; yields a function that takes how many more of ``total`` are done."""
        if self._stderr.isatty():
            with Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                _Rate(),
                TimeRemainingColumn(),
                console=self._watchers,
                transient=True,
            ) as bar:
                task = bar.add_task(what, total=total)
                yield lambda count: bar.advance(task, count)
        else:
            yield ProgressLines(self._stderr, what, total)


class ProgressLines:
    """Progress as JSON lines, one every `LINE_SECONDS` at most."""

    def __init__(self, stream: TextIO, what: str, total: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._what, self._total, self._monotonic = stream, what, total, monotonic
        self._began_at = self._said_at = monotonic()
        self._done = 0

    def __call__(self, count: int) -> None:
        """Note that ``count`` more are done."""
        self._done += count
        now = self._monotonic()
        if now - self._said_at < LINE_SECONDS:
            return
        self._said_at = now
        rate = self._done / (now - self._began_at)
        record = {
            "progress": self._what,
            "done": self._done,
            "total": self._total,
            "per_second": round(rate),
            "eta_seconds": round((self._total - self._done) / rate) if rate else None,
        }
        self._stream.write(_encoder.encode(record).decode() + "\n")
        self._stream.flush()


class _Console(Console):
    def on_broken_pipe(self) -> NoReturn:
        # Called while it is handled. Rich would end the process with 1, which means something else here.
        self.quiet = True
        raise


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s", "progress.data.speed")


def make_table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> Table:
    """A table; columns whose name begins with ``>`` are numbers, on the right. Text with a style is ours."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        name = column.removeprefix(">")
        table.add_column(name, justify="right" if name != column else "left", no_wrap=name != column)
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(harmless(cell)) for cell in row))
    return table


def exact_json(text: bytes) -> msgspec.Raw:
    """JSON that goes into a line as it is."""
    return msgspec.Raw(text)


def harmless(text: str) -> str:
    """The text with everything a terminal might obey, or not show, written as an escape."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def utc(time_ms: int) -> str:
    """Unix milliseconds for people: ``2026-11-22 18:00:00.123`` UTC, without the fraction when it is 0."""
    try:
        moment = datetime.fromtimestamp(time_ms // 1000, UTC)
    except (OverflowError, ValueError, OSError):  # a producer chose it
        return f"{time_ms} ms"
    return f"{moment:%Y-%m-%d %H:%M:%S}" + (f".{time_ms % 1000:03d}" if time_ms % 1000 else "")
