"""The examples of docs/api.md: what is asked, and what comes back.

REST: a code block that begins with ``GET /path``, an empty line, and the body. WebSocket: a code block with lines that
begin with ``→`` (a client sends) and ``←`` (a server sends). In the tables, what stands in the column ``example``.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ingest.candle import Candle, Interval, State
from tests.conftest import make_candle
from workers.rollup import bucket_of, roll_up

API = Path(__file__).resolve().parents[2] / "docs" / "api.md"

_BLOCK = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_EXAMPLE_ROW = re.compile(r"^\| `/[^|]*\| `(/[^`|]*)` \|", re.MULTILINE)
_TITLE = re.compile(r"^## (.+)$", re.MULTILINE)


def shown_candles() -> list[Candle]:
    """What the examples show: two minutes, and the hour that is made of them."""
    minutes = [make_candle(0, state=State.FINAL), make_candle(1)]
    return [*minutes, hour_of(minutes)]


def hour_of(minutes: list[Candle]) -> Candle:
    """The running hour that is made of minutes of the same five."""
    made = minutes
    for interval in (Interval.M5, Interval.M15, Interval.M30, Interval.H1):
        larger = roll_up(bucket_of(minutes[0].series, interval, minutes[0].timestamp), made, is_over=False)
        assert larger is not None
        made = [larger]
    return made[0]


class Request(NamedTuple):
    """A path and query, and the body that it was answered with; None: any."""

    target: str
    body: str | None


class Conversation(NamedTuple):
    """Frames of one connection: those sent, each with those that follow."""

    title: str
    turns: tuple[tuple[str, tuple[str, ...]], ...]


def requests(text: str) -> Iterator[Request]:
    """Every REST example."""
    for block in _BLOCK.findall(text):
        first, _, rest = block.partition("\n")
        if first.startswith("GET /"):
            yield Request(first.removeprefix("GET "), rest.strip("\n"))
    for target in _EXAMPLE_ROW.findall(text):
        yield Request(target, None)


def conversations(text: str) -> Iterator[Conversation]:
    """Every WebSocket example, named after its section."""
    for found in _BLOCK.finditer(text):
        turns: list[tuple[str, list[str]]] = []
        for line in found[1].splitlines():
            if line.startswith("→ "):
                turns.append((line[2:].strip(), []))
            elif line.startswith("← ") and turns:
                turns[-1][1].append(line[2:].strip())
        if turns:
            title = _TITLE.findall(text[: found.start()])[-1]
            yield Conversation(title, tuple((sent, tuple(received)) for sent, received in turns))


def shape(text: str) -> Any:
    """What a body looks like whatever its values are: keys in their order, kinds of values, columns of a CSV."""
    try:
        return _shape(json.loads(text))
    except ValueError:
        lines = text.splitlines()
    try:
        return [_shape(json.loads(line)) for line in lines[:1]]
    except ValueError:
        return [lines[0] if "," in lines[0] else "text", *({line.count(",") for line in lines})]


def _shape(value: Any) -> Any:
    match value:
        case dict():
            return {name: _shape(each) for name, each in value.items()}
        case list():
            # Arrays of one kind of thing have any length; what is empty shows nothing of it.
            return [_shape(each) for each in value[:1]]
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case None:
            return "null"
    return "string"


def same_shape(documented: Any, seen: Any) -> bool:
    """Whether the shapes agree; null stands for a value that may be absent."""
    if "null" in (documented, seen):
        return True
    if isinstance(documented, dict) and isinstance(seen, dict):
        return list(documented) == list(seen) and all(same_shape(documented[name], seen[name]) for name in documented)
    if isinstance(documented, list) and isinstance(seen, list):
        return len(documented) == len(seen) and all(map(same_shape, documented, seen))
    return bool(documented == seen)
