"""Which records of a topic are dead letters."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

from ingest.topics import CANDLES, DEAD_LETTERS
from workers.dead_letters import CUT_BYTES
from workers.errors import TooManyLetters, TopicMissing
from workers.letters import DeadLetter, read_letters
from workers.topic_reader import TopicReader

#: How many dead letters an index holds, at about 200 bytes each.
MAX_LETTERS: Final = 1_000_000


class LetterIndex:
    """Which records of a topic are dead letters, by place and value.

    The value counts because offsets begin again at 0 when a topic is made anew, while older letters stay.
    """

    def __init__(
        self,
        reader: TopicReader,
        bounds: Mapping[int, tuple[int, int]],
        *,
        topic: str = CANDLES,
        letters_topic: str = DEAD_LETTERS,
        max_letters: int = MAX_LETTERS,
    ) -> None:
        """``bounds``: the records of ``topic`` that anyone will ask for."""
        self._reader, self._bounds, self._max_letters = reader, dict(bounds), max_letters
        self._topic, self._letters_topic = topic, letters_topic
        self._next: dict[int, int] = {}
        self._fingerprints: dict[tuple[int, int], bytes] = {}

    def update(self) -> int:
        """Read the letters written since the last time; returns how many of them matter.

        Raises:
            KafkaUnavailable: If Kafka does not answer.
            TooManyLetters: If there are more than fit in memory.
        """
        try:
            held = self._reader.bounds(self._letters_topic)
        except TopicMissing:
            return 0
        before = len(self._fingerprints)
        unread = {each: (max(start, self._next.get(each, 0)), stop) for each, (start, stop) in held.items()}
        for letters in read_letters(self._reader, unread, self._letters_topic):
            for letter in letters:
                self._take(letter)
        self._next = {each: stop for each, (_, stop) in held.items()}
        return len(self._fingerprints) - before

    def has(self, partition: int, offset: int, value: bytes | None) -> bool:
        """Whether the record at this place, with this value, is a dead letter."""
        # Hardly any record is one, so the value is hardly ever looked at.
        return (partition, offset) in self._fingerprints and self.covers(partition, offset, fingerprint(value))

    def covers(self, partition: int, offset: int, fingerprint: bytes) -> bool:
        """The same for a value of which only the `fingerprint` was kept."""
        return self._fingerprints.get((partition, offset)) == fingerprint

    def _take(self, letter: DeadLetter) -> None:
        partition, offset = letter.from_partition, letter.from_offset
        if letter.from_topic != self._topic or partition is None or offset is None:
            return
        start, stop = self._bounds.get(partition, (0, 0))
        if start <= offset < stop:
            if len(self._fingerprints) >= self._max_letters:
                raise TooManyLetters(self._letters_topic, self._max_letters)
            # A later letter of the same place is of the topic as it is now, or a copy of this one.
            self._fingerprints[partition, offset] = fingerprint(letter.value)


def fingerprint(value: bytes | None) -> bytes:
    """A few bytes that are equal for a record's value and for its letter's, which may have been cut."""
    return b"none" if value is None else blake2b(value[:CUT_BYTES], digest_size=8).digest()
