"""Dead letters read back: what they say of themselves, and whether they are candles by now."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, cast

from confluent_kafka import Message

from ingest.topics import DEAD_LETTERS
from workers.batching import Collector, candle_version
from workers.topic_reader import Bounds, TopicReader


class Place(NamedTuple):
    """Where a dead letter is: partition and offset of the dead-letter topic."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}/{self.offset}"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One record of the dead-letter topic; what its headers do not say, or not well, is None."""

    partition: int
    offset: int
    #: When it was written, Unix milliseconds.
    time_ms: int
    reason: str
    #: The record that it was.
    from_topic: str | None
    from_partition: int | None
    from_offset: int | None
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]

    @property
    def place(self) -> Place:
        """Where it is."""
        return Place(self.partition, self.offset)

    @property
    def origin(self) -> str:
        """Topic, partition and offset of the record that it was, for people."""
        return f"{self.from_topic or '?'}/{_text(self.from_partition)} @ {_text(self.from_offset)}"


def read_letter(message: Message) -> DeadLetter:
    """What a record of the dead-letter topic says; anyone may have written it."""
    pairs = cast("list[tuple[str, bytes | None]]", message.headers() or [])
    headers = tuple((name, value or b"") for name, value in pairs)
    named = dict(headers)
    topic = named.get("topic")
    return DeadLetter(
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        time_ms=message.timestamp()[1],
        reason=named.get("reason", b"").decode(errors="backslashreplace"),
        from_topic=None if topic is None else topic.decode(errors="backslashreplace"),
        from_partition=_number(named.get("partition")),
        from_offset=_number(named.get("offset")),
        key=_as_bytes(message.key()),
        value=_as_bytes(message.value()),
        headers=headers,
    )


def read_letters(
    reader: TopicReader, bounds: Mapping[int, tuple[int, int]], topic: str = DEAD_LETTERS
) -> Iterator[list[DeadLetter]]:
    """The dead letters within the bounds, some thousand at once; raises what `TopicReader.read` raises."""
    for messages in reader.read(topic, bounds):
        yield [read_letter(message) for message in messages]


def bounds_around(reader: TopicReader, places: Collection[Place], topic: str = DEAD_LETTERS) -> Bounds:
    """Bounds that hold all of these places, as far as Kafka has them, and what lies between."""
    around: Bounds = {}
    for partition, (first, end) in reader.bounds(topic).items():
        offsets = [place.offset for place in places if place.partition == partition]
        if offsets:
            around[partition] = (max(first, min(offsets)), min(end, max(offsets) + 1))
    return around


def why_no_candle(value: bytes | None) -> str | None:
    """Why a bridge would make a record with this value a dead letter; None if it would take it for a candle."""
    collector = Collector(candle_version)
    collector.add(0, None, value, 0.0)
    batch = collector.take()
    assert batch is not None
    return batch.letters[0].reason if batch.letters else None


def _number(text: bytes | None) -> int | None:
    return int(text) if text and len(text) < 20 and text.isdigit() else None


def _text(number: int | None) -> str:
    return "?" if number is None else str(number)


def _as_bytes(data: bytes | str | None) -> bytes | None:
    return data.encode() if isinstance(data, str) else data
