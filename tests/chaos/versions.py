"""What Kafka holds, read without the code that is being tested: records to versions of candles.

Only `is_good` asks our own decoder: whether a record was dead-lettered for a reason is asked of the one who refuses.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from ingest.codec import decode_candle
from ingest.errors import DecodeError
from tests.chaos.evidence import CandleKey, Evidence, Record

VALUE_NAMES: Final = ("open", "high", "low", "close", "volume")
#: Records above this may be refused for their size alone.
LARGE_BYTES: Final = 200_000

Values = tuple[Decimal, ...]


@dataclass(frozen=True)
class Version:
    """One version of one candle, where Kafka holds it."""

    key: CandleKey
    rev: int
    state: str
    values: Values
    record: Record


def parse_exact(text: str | bytes) -> Any:
    """Parse JSON without turning a price into a binary float."""
    return json.loads(text, parse_float=Decimal)


def values_of(row: dict[str, Any]) -> Values:
    """Open, high, low, close and volume of anything that carries them by name."""
    return tuple(Decimal(row[name]) for name in VALUE_NAMES)


def parse_version(record: Record) -> Version | None:
    """The version in a record; None if it cannot be one."""
    try:
        row = parse_exact(record.value)
        values = values_of(row)
        if row["v"] != 1 or row["interval"] != "1m" or not all(value.is_finite() for value in values):
            return None
        key = (str(row["exchange"]), str(row["pair"]), int(row["timestamp"]))
        return Version(key, int(row["rev"]), str(row["state"]), values, record)
    except (ValueError, TypeError, KeyError, ArithmeticError, RecursionError):
        return None


def is_good(record: Record) -> bool:
    """Whether a record holds a candle that every store must take."""
    try:
        decode_candle(record.value)
    except DecodeError:
        return False
    return len(record.value) < LARGE_BYTES


def headers_of(letter: Record) -> dict[str, str]:
    """The headers of a dead letter as text."""
    return {name: value.decode(errors="replace") for name, value in letter.headers}


def letter_place(letter: Record) -> tuple[str, str, str]:
    """Topic, partition and offset that a dead letter was read from, as its headers say."""
    headers = headers_of(letter)
    return headers.get("topic", ""), headers.get("partition", ""), headers.get("offset", "")


class DeadPlaces:
    """Tells which records lie among the dead letters."""

    def __init__(self, letters: Iterable[Record]) -> None:
        self._values: dict[tuple[str, str, str], list[bytes]] = {}
        for letter in letters:
            self._values.setdefault(letter_place(letter), []).append(letter.value)

    def hold(self, record: Record) -> bool:
        """Whether a letter came from this record: the same place and, since a topic may be made anew, the same bytes.

        A letter that was too large for its topic holds the beginning of its record.
        """
        values = self._values.get((record.topic, str(record.partition), str(record.offset)), [])
        return any(record.value.startswith(value) for value in values)


def versions(evidence: Evidence) -> Iterator[Version]:
    """Every readable version that Kafka acknowledged and that is no dead letter, in the order it was read."""
    dead = DeadPlaces(evidence.dead_letters)
    for record in evidence.acknowledged:
        version = parse_version(record)
        if version is not None and not dead.hold(record):
            yield version
