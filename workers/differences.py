"""How the store can differ from what it should hold, and all that a comparison finds."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from ingest.candle import Candle


class Kind(StrEnum):
    """How the store differs."""

    MISSING = "missing"  # not stored at all
    OLDER = "older"  # stored with a lower rev
    ALTERED = "altered"  # stored with the same rev and other values
    UNREADABLE = "unreadable"  # a record that is no candle and is not in the dead letters either


@dataclass(frozen=True, slots=True)
class Version:
    """One record of a candle."""

    partition: int
    offset: int
    candle: Candle


@dataclass(frozen=True, slots=True)
class Difference:
    """One candle, or record, of which the store does not hold what it should."""

    kind: Kind
    #: Where the record is that the store should reflect; None if Kafka let go of it while it was looked at, and for
    #: larger candles, which are computed.
    partition: int | None
    offset: int | None
    expected: Candle | None
    #: None: nothing, or nothing that is a candle.
    stored: Candle | None
    #: What differs, or why a record is no candle.
    reason: str
    #: The document's id in hexadecimal; empty for a record that is no candle.
    document: str


@dataclass
class Findings:
    """What a comparison found."""

    records: int = 0
    candles: int = 0
    #: Stored with a higher rev than Kafka has up to the ends taken at the start: live traffic, or retention.
    newer: int = 0
    #: Records left out because they are dead letters.
    dead_letters: int = 0
    #: Minutes in the store that no record that was read speaks of; None if they were not counted.
    only_in_store: int | None = None
    #: Larger candles that were compared with what the store holds below them.
    larger: int = 0
    #: Of these, those that are made of minutes that are no longer held.
    unexplained: int = 0
    #: All differences, by kind, the unnamed included.
    counts: Counter[Kind] = field(default_factory=Counter)
    #: The differences, by series and time, up to the limit.
    differences: list[Difference] = field(default_factory=list)

    def name(self, difference: Difference, limit: int) -> None:
        """Count a difference, and keep it unless ``limit`` are kept already."""
        if len(self.differences) < limit:
            self.differences.append(difference)
        self.counts[difference.kind] += 1

    def sort(self) -> None:
        """Bring the differences into their order: by series and time, records that are no candle first."""
        self.differences.sort(key=_order)


def compare_versions(document: str, versions: list[Version], there: bool, stored: Candle | None) -> Difference | None:
    """What differs between the records of one candle and what is stored of it; None if nothing does.

    Args:
        document: The id, in hexadecimal.
        versions: Those with the highest rev, 1 or more: whoever wrote two under one rev, either may be stored.
        there: Whether there is a document.
        stored: The candle in it, None if it holds none.
    """
    first = versions[0]
    if not there:
        kind, reason = Kind.MISSING, "not in the store"
    elif stored is None:
        kind, reason = Kind.ALTERED, "the document holds no candle"
    elif stored.rev > first.candle.rev or any(stored == each.candle for each in versions):
        return None
    elif stored.rev < first.candle.rev:
        kind, reason = Kind.OLDER, f"rev is {first.candle.rev - stored.rev} lower"
    else:
        kind, reason = Kind.ALTERED, "; ".join(changes(first.candle, stored))
    return Difference(kind, first.partition, first.offset, first.candle, stored, reason, document)


def changes(expected: Candle, stored: Candle) -> list[str]:
    """What differs between two candles, field by field, for people."""
    return [
        f"{name} is {getattr(stored, name)}, expected {getattr(expected, name)}"
        for name in Candle.__struct_fields__
        if getattr(stored, name) != getattr(expected, name)
    ]


def _order(difference: Difference) -> tuple[str, int, int, int]:
    candle = difference.expected or difference.stored
    place = (difference.partition or 0, difference.offset or 0)
    return (candle.series.key, candle.timestamp, *place) if candle else ("", 0, *place)
