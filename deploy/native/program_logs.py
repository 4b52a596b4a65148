"""Reads the programs' logs: only what they wrote since they were started, in words for a person.

Logs are appended to from one start to the next, so their size is remembered when a program is started: an old run's
last words must not be taken for the reason why this one fails.
"""

import ast
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from deploy.native.stack import Stack

#: Under this name `Stack.remember` keeps the size of each log at its program's start.
_MARKS = "log_marks"
_TAIL_LINES = 12
_MOST_BYTES = 262_144
_LONGEST_DETAILS = 240

#: ``LOG_FORMAT=text``: time, level, event, logger, fields.
_TEXT = re.compile(r"\A\S+ \[(?P<level>\w+)\s*\] (?P<event>.*?)\s+\[[\w.]+\](?P<fields>.*)\Z")
_TEXT_FIELD = re.compile(r"""(\w+)=('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\S+)""")
#: In every JSON record, and of no use to who asks what is wrong.
_FORMAL = frozenset({"event", "level", "logger", "timestamp", "exception"})


@dataclass(frozen=True)
class Record:
    """One record of a program of ours."""

    level: str
    event: str
    fields: Mapping[str, str] = field(default_factory=dict)
    #: Last line of a traceback: the error.
    error: str = ""

    def __str__(self) -> str:
        details = "; ".join(f"{name}: {value}" for name, value in self.fields.items())
        if len(details) > _LONGEST_DETAILS:
            details = details[:_LONGEST_DETAILS] + "…"
        return (
            f"{self.level}: {self.event}{f' ({details})' if details else ''}{f': {self.error}' if self.error else ''}"
        )


def sizes(stack: Stack) -> dict[str, int]:
    """Size of each program's log now (bytes)."""
    return {path.stem: path.stat().st_size for path in stack.logs.glob("*.log")}


def mark(stack: Stack, at: Mapping[str, int], started: Iterable[str] | None = None) -> None:
    """Remember that programs were started when their logs had these sizes.

    Args:
        stack: Whose programs.
        at: What `sizes` returned before the start.
        started: Their names; None: all programs.
    """
    if started is None:
        stack.remember(**{_MARKS: dict(at)})
    else:
        known = stack.remembered(_MARKS) or {}
        stack.remember(**{_MARKS: {**known, **{name: at.get(name, 0) for name in started}}})


def lines(stack: Stack, name: str) -> list[str]:
    """What the program wrote since it was started, at most the newest 256 KiB."""
    path = stack.logs / f"{name}.log"
    begin = int((stack.remembered(_MARKS) or {}).get(name, 0))
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            if size < begin:  # rotated: all of it is newer
                begin = 0
            first = max(begin, size - _MOST_BYTES)
            file.seek(first)
            text = file.read(_MOST_BYTES).decode(errors="replace")
    except OSError:
        return []
    return text.splitlines()[1 if first > begin else 0 :]


def records(stack: Stack, name: str) -> list[Record]:
    """The records among these lines."""
    return [record for line in lines(stack, name) if (record := parse(line))]


def tail(stack: Stack, name: str) -> str:
    """The program's last words, indented, each once, and where its whole log is."""
    readable = [str(parse(line) or line.rstrip()) for line in lines(stack, name)]
    # Backwards, so that what was said again stands where it was said last.
    last = list(dict.fromkeys(reversed([line for line in readable if line])))[:_TAIL_LINES]
    words = [f"    {line}" for line in reversed(last)] or ["    (nothing since it was started)"]
    return "\n".join([*words, f"  the whole log: {stack.logs / f'{name}.log'}"])


def parse(line: str) -> Record | None:
    """The record that a line holds, in either log format; None if it holds none."""
    if not line.startswith("{"):
        return _parse_text(line)
    try:
        values = json.loads(line)
    except ValueError:
        return None
    if not isinstance(values, dict) or "event" not in values:
        return None
    error = (str(values.get("exception", "")).splitlines() or [""])[-1]
    fields = {name: str(value) for name, value in values.items() if name not in _FORMAL and value is not None}
    return Record(str(values.get("level", "info")), str(values["event"]), fields, error)


def _parse_text(line: str) -> Record | None:
    match = _TEXT.match(line)
    if not match:
        return None
    fields = {name: _unquoted(value) for name, value in _TEXT_FIELD.findall(match["fields"])}
    return Record(match["level"], match["event"], {n: value for n, value in fields.items() if value != "None"})


def _unquoted(text: str) -> str:
    try:
        return str(ast.literal_eval(text)) if text[:1] in {"'", '"'} else text
    except (ValueError, SyntaxError):
        return text
