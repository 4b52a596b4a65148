"""``python -m workers dlq list | show``: look at what could not take effect."""

import argparse
import base64
from itertools import chain
from typing import Any, Final

from ingest.topics import DEAD_LETTERS
from workers.console import Output, harmless, utc
from workers.exit_status import DIFFERENT, FINE
from workers.letters import DeadLetter, Place, bounds_around, read_letters
from workers.settings import Settings
from workers.topic_reader import TopicReader

#: So much of a payload goes to a terminal; JSON holds all of it.
SHOWN_CHARACTERS: Final = 4096


def list_letters(options: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Print the newest dead letters, newest last, and return the exit status.

    Raises:
        WorkersError: If Kafka cannot be asked.
    """
    reader = TopicReader(settings.kafka_brokers)
    bounds = reader.bounds(DEAD_LETTERS, options.since)
    newest = {each: (max(start, stop - options.limit), stop) for each, (start, stop) in bounds.items()}
    letters = sorted(chain.from_iterable(read_letters(reader, newest)), key=_order)[-options.limit :]
    if output.as_json:
        for letter in letters:
            output.line(_summary(letter))
        return FINE
    if letters:
        output.table(["letter", "written (UTC)", "was", ">bytes", "reason"], map(_row, letters))
    total = sum(stop - start for start, stop in bounds.values())
    output.say(f"the newest {len(letters):,} of {total:,} dead letters" if letters else "no dead letters")
    return FINE


def show_letter(options: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Print one dead letter with all its headers, and return the exit status.

    Raises:
        WorkersError: If Kafka cannot be asked.
    """
    reader = TopicReader(settings.kafka_brokers)
    place: Place = options.place
    for letter in chain.from_iterable(read_letters(reader, bounds_around(reader, [place]))):
        if output.as_json:
            output.line(_summary(letter) | _contents(letter))
        else:
            _show(letter, output)
        return FINE
    output.error(f"{DEAD_LETTERS} has no dead letter {place}")
    return DIFFERENT


def _order(letter: DeadLetter) -> tuple[int, int, int]:
    return letter.time_ms, letter.partition, letter.offset


def _row(letter: DeadLetter) -> tuple[str, ...]:
    return str(letter.place), utc(letter.time_ms), letter.origin, f"{len(letter.value or b''):,}", letter.reason


def _summary(letter: DeadLetter) -> dict[str, Any]:
    return {
        "letter": str(letter.place),
        "time": letter.time_ms,
        "reason": letter.reason,
        "topic": letter.from_topic,
        "partition": letter.from_partition,
        "offset": letter.from_offset,
        "bytes": None if letter.value is None else len(letter.value),
    }


def _contents(letter: DeadLetter) -> dict[str, Any]:
    return {"headers": _headers(letter), **_exact("key", letter.key), **_exact("value", letter.value)}


def _headers(letter: DeadLetter) -> list[tuple[str, str]]:
    return [(name, value.decode(errors="backslashreplace")) for name, value in letter.headers]


def _exact(name: str, data: bytes | None) -> dict[str, str | None]:
    """The bytes as text, or in base 64 where they are none: whoever reads this gets them back as they were."""
    try:
        return {name: None if data is None else data.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(data or b"").decode()}


def _show(letter: DeadLetter, output: Output) -> None:
    output.say(f"dead letter {letter.place}, written {utc(letter.time_ms)} UTC", "bold")
    output.table(
        ["header", "value"], [(name, value.decode(errors="backslashreplace")) for name, value in letter.headers]
    )
    output.say(f"key: {_text(letter.key)}")
    output.say(f"value: {_text(letter.value)}")


def _text(data: bytes | None) -> str:
    if data is None:
        return "none"
    text = harmless(data[:SHOWN_CHARACTERS].decode(errors="backslashreplace"))
    cut = "" if len(data) <= SHOWN_CHARACTERS else f" … of {len(data):,} bytes; --json has all"
    return text + cut
