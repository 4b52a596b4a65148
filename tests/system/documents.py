"""The code blocks of the README, CONTRIBUTING.md and docs/: what they are, and the commands and output in them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.system.stack import ROOT

DOCUMENTS = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))

_BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: A number, a time, an id, a state: what differs from one run to the next.
_VARIES = re.compile(
    r"[0-9a-f]{16,}|\b\d[\d.,:]*(?:[-T]\d[\d.,:]*)*Z?|\b(?:open|provisional|final|corrected)\b|[─━]+|\s+"
)


class Block(NamedTuple):
    """One code block."""

    document: Path
    #: What follows the fence: ``console``, ``python``, …
    kind: str
    text: str


class Command(NamedTuple):
    """A command of a ``console`` block, as one types it, and what is shown below it."""

    document: str
    text: str
    output: tuple[str, ...]
    #: Whether what is shown belongs to another moment, when something was wrong for example.
    is_another_moment: bool


def blocks() -> Iterator[Block]:
    """Every code block of every document."""
    for document in DOCUMENTS:
        for kind, text in _BLOCK.findall(document.read_text(encoding="utf-8")):
            yield Block(document, kind, text)


def commands() -> Iterator[Command]:
    """Every command."""
    for block in blocks():
        if not block.kind.startswith("console"):
            continue
        for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
            text, *output = part.rstrip("\n").split("\n")
            text = re.sub(r"\s+# .*$", "", text)
            yield Command(block.document.name, text, tuple(output), block.kind == "console from another moment")


def pattern_of(line: str) -> "re.Pattern[str]":
    """What a line of output has to look like: as it is shown, but for what varies; … stands for anything."""
    pattern, position = "", 0
    for found in _VARIES.finditer(line):
        pattern += re.escape(line[position : found.start()])
        text = found[0]
        if text.isspace():
            pattern += r"\s+"
        elif text[0] in "─━":
            pattern += "[─━]+"
        elif text in {"open", "provisional", "final", "corrected"}:
            # The name of a price is no state.
            pattern += "open" if line[found.start() - 1 : found.end() + 2] == '"open":' else r"\w+"
        else:
            pattern += r"[0-9a-fTZ.,:-]+"
        position = found.end()
    pattern += re.escape(line[position:])
    return re.compile(pattern.replace("…", ".*").replace(r"\…", ".*"))


def lines_not_shown(expected: tuple[str, ...], output: str) -> list[str]:
    """Which of these lines, in their order, the output does not have."""
    left = iter(output.splitlines())
    missing = []
    for line in expected:
        if line.strip() == "…":
            continue
        pattern = pattern_of(line.strip())
        if not any(pattern.fullmatch(each.strip()) for each in left):
            missing.append(line)
    return missing
