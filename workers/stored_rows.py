"""Raw batches of the store to rows of text, several times as fast as a decoder that makes objects of everything.

The documents of one series differ in few bytes: where the values are, and of what type, follows from the first one. So
each further document of the same length is read by one `struct.Struct`, and the bytes around its values are compared
with the first one's; a document that differs there gets a layout of its own, and one that nobody here wrote (another
type, a field more) goes through PyMongo's decoder.

Source: bsonspec.org, version 1.1.
"""

import struct
from collections.abc import Mapping
from operator import itemgetter
from typing import Any, Final, NamedTuple

import bson

from workers.decimal128 import from_decimal128, to_text

#: Open time in Unix milliseconds; open, high, low, close, volume as exact decimal texts; state; rev; minutes.
StoredRow = tuple[int, str, str, str, str, str, str, int, int]

_LENGTH: Final = struct.Struct("<i")
_NUMBERS: Final = ("open", "high", "low", "close", "volume")
#: The values of a row, in its order; the state is part of what is constant within a layout.
_VALUES: Final = ("timestamp", *_NUMBERS, "rev", "minutes")

_STRING, _OBJECT_ID, _INT64, _DECIMAL128 = 0x02, 0x07, 0x12, 0x13
_EXPECTED_TYPES: Final = {"timestamp": _INT64, "rev": _INT64, "state": _STRING} | dict.fromkeys(_NUMBERS, _DECIMAL128)
#: What larger candles have beside that.
_OPTIONAL_TYPES: Final = {"minutes": _INT64}
_TYPES: Final = _EXPECTED_TYPES | _OPTIONAL_TYPES


class _Layout(NamedTuple):
    """How to read documents of one length: everything but the values must be equal to ``constants``."""

    fields: struct.Struct
    constants_of: Any
    constants: tuple[bytes, ...]
    values_of: Any
    state: str
    #: Whether the values end with the number of minutes; a candle of 1m does not say that it is one.
    has_minutes: bool


class RowDecoder:
    """Reads the documents of one series; remembers their layouts, at most one per length."""

    def __init__(self) -> None:
        self._layouts: dict[int, _Layout | None] = {}

    def decode(self, batch: bytes) -> list[StoredRow]:
        """The rows of a batch: whole documents, one behind the other.

        Raises:
            KeyError, TypeError, ValueError: If a document is not a candle.
        """
        rows, position, end = [], 0, len(batch)
        while position < end:
            (length,) = _LENGTH.unpack_from(batch, position)
            layout = self._layouts.get(length)
            fields = layout.fields.unpack_from(batch, position) if layout else ()
            if layout is None or layout.constants_of(fields) != layout.constants:
                document = batch[position : position + length]
                layout = self._layouts[length] = _layout(document)
                fields = layout.fields.unpack(document) if layout else ()
            if layout is None:
                rows.append(_row(bson.decode(document)))
            else:
                t, o, o_, h, h_, low, low_, c, c_, v, v_, rev, minutes = layout.values_of(fields)
                texts = to_text(o, o_), to_text(h, h_), to_text(low, low_), to_text(c, c_), to_text(v, v_)
                rows.append((t, *texts, layout.state, rev, minutes if layout.has_minutes else 1))
            position += length
        return rows


def _layout(document: bytes) -> _Layout | None:
    """The layout of a document, None if it is not one of ours."""
    found: dict[str, tuple[int, int]] = {}
    position = 4
    while position < len(document) - 1:
        kind = document[position]
        name_end = document.index(0, position)
        name = document[position + 1 : name_end].decode()
        start = name_end + 1
        size = _size(kind, document, start)
        if size is None or _TYPES.get(name, kind) != kind:
            return None
        found[name] = (start, size)
        position = start + size
    if not found.keys() >= _EXPECTED_TYPES.keys():
        return None
    start, size = found["state"]
    return _compiled(document, found, document[start + 4 : start + size - 1].decode())


def _size(kind: int, document: bytes, start: int) -> int | None:
    """How many bytes a value takes, None for types that our documents do not have."""
    if kind == _STRING:
        return 4 + int(_LENGTH.unpack_from(document, start)[0])
    return {_OBJECT_ID: 12, _INT64: 8, _DECIMAL128: 16}.get(kind)


def _compiled(document: bytes, found: Mapping[str, tuple[int, int]], state: str) -> _Layout:
    parts, constants, positions = ["<"], [], {}
    count = done = 0
    for name, (start, size) in found.items():
        if name not in _VALUES and name != "_id":
            continue
        parts.append(f"{start - done}s")
        constants.append(count)
        positions[name] = count + 1
        parts.append({8: "q", 16: "QQ", 12: "12x"}[size])
        count += {8: 2, 16: 3, 12: 1}[size]
        done = start + size
    parts.append(f"{len(document) - done}s")
    constants.append(count)
    fields = struct.Struct("".join(parts))
    constants_of = itemgetter(*constants)
    halves = [positions[name] + half for name in _NUMBERS for half in (0, 1)]
    # Always as many, so that they are taken apart in one way; where there is no number of minutes anything stands.
    last = positions.get("minutes", positions["rev"])
    values_of = itemgetter(positions["timestamp"], *halves, positions["rev"], last)
    return _Layout(fields, constants_of, constants_of(fields.unpack(document)), values_of, state, "minutes" in found)


def _row(document: Mapping[str, Any]) -> StoredRow:
    """A row from a document as PyMongo decodes it."""
    numbers = [from_decimal128(document[name]) for name in _NUMBERS]
    if not all(number.is_finite() for number in numbers):
        raise ValueError(f"the candle {document['_id']} holds a value that is not a number")
    open_, high, low, close, volume = map(str, numbers)
    counts = int(document["rev"]), int(document.get("minutes", 1))
    return int(document["timestamp"]), open_, high, low, close, volume, str(document["state"]), *counts
