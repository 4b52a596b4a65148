"""Records of candles folded to the newest version of each, small enough to hold a week of a hundred series.

Of a version only a number is kept: its ``rev``, and in the 64 bits below it a hash over all fields. So the higher
number is the newer version, and equal numbers are equal candles.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple

from confluent_kafka import Message

from ingest.candle import Candle, Series
from ingest.codec import decode_candle
from ingest.errors import DecodeError
from workers.documents import document_id, series_hash
from workers.letter_index import LetterIndex, fingerprint

_HASH_BITS: Final = 64

_hash_of = lru_cache(maxsize=10_000)(series_hash)


class Unreadable(NamedTuple):
    """A record that is no candle: why, and the `fingerprint` of its value."""

    reason: str
    fingerprint: bytes


@dataclass
class Fold:
    """The newest version of each candle among the records that were added."""

    #: The 12 bytes of the document id, and `number_of` the newest version.
    newest: dict[bytes, int] = field(default_factory=dict)
    #: By partition and offset.
    unreadable: dict[tuple[int, int], Unreadable] = field(default_factory=dict)
    #: Records left out because they are dead letters.
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.newest) + len(self.unreadable)

    def add(self, messages: Iterable[Message], letters: LetterIndex) -> None:
        """Add records that were read without an error."""
        for message in messages:
            partition, offset, value = contents(message)
            if letters.has(partition, offset, value):
                self.left_out += 1
                continue
            try:
                candle = decode_candle(value or b"")
            except DecodeError as error:
                self.unreadable[partition, offset] = Unreadable(error.reason, fingerprint(value))
                continue
            key, number = key_of(candle), number_of(candle)
            if number > self.newest.get(key, -1):
                self.newest[key] = number


def key_of(candle: Candle) -> bytes:
    """The 12 bytes of a candle's document id."""
    return document_id(_hash_of(Series(candle.exchange, candle.pair, candle.interval)), candle.timestamp).binary


def number_of(candle: Candle) -> int:
    """A version as a number. Decimals count by their value: 1.50 and 1.5 are the same price."""
    return candle.rev << _HASH_BITS | hash(candle) & (1 << _HASH_BITS) - 1


def rev_of(number: int) -> int:
    """The ``rev`` in such a number."""
    return number >> _HASH_BITS


def contents(message: Message) -> tuple[int, int, bytes | None]:
    """Partition, offset and value of a record that was read without an error."""
    partition, offset, value = message.partition(), message.offset(), message.value()
    assert partition is not None  # it was read from somewhere
    assert offset is not None
    return partition, offset, value.encode() if isinstance(value, str) else value
