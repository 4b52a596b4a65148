"""From Kafka records to batches: unreadable ones apart, the newest version per candle, bounded. Pure.

A newer version holds the whole candle, so leaving older ones out of a batch loses nothing. Only readable records count
as versions: one that cannot be stored must not push out one that can.
"""

import json
from collections.abc import Callable
from typing import Final, NamedTuple

from ingest.codec import decode_candle, decode_event
from ingest.errors import DecodeError
from workers.watermark import Batch, Letter, Row

MAX_ROWS: Final = 500
#: Longest job, in bytes of JSON; every job in flight lies in Redis and in a worker's memory.
MAX_JOB_BYTES: Final = 256 * 1024
#: Room in a job for everything but its rows.
_ENVELOPE_BYTES: Final = 2048
#: Room for a row's offset, brackets and commas.
_ROW_BYTES: Final = 24


class Version(NamedTuple):
    """What a record is a version of, and how versions of that compare."""

    subject: tuple[object, ...]
    order: int
    #: Whether those who wait for more records should not wait for long when there is this one.
    urgent: bool = True


def candle_version(value: bytes) -> Version:
    """Read the value of a ``candles`` record; raises `DecodeError`."""
    candle = decode_candle(value)
    return Version((candle.series, candle.timestamp), candle.rev, candle.state.is_closed)


def event_version(value: bytes) -> Version:
    """Read the value of a ``feeds`` record; raises `DecodeError`."""
    event = decode_event(value)
    return Version((event.exchange,), event.at)


class Collector:
    """Gathers the records of one partition into the next batch."""

    def __init__(self, version_of: Callable[[bytes], Version], max_rows: int = MAX_ROWS) -> None:
        self._version_of = version_of
        self._max_rows = max_rows
        self._clear()

    def _clear(self) -> None:
        self._first: int | None = None
        self._last = -1
        self._rows: dict[tuple[object, ...], tuple[int, Row, int]] = {}
        self._letters: list[Letter] = []
        self._row_bytes = self._letter_bytes = 0
        self._records = 0
        self.began_at: float | None = None
        self.is_urgent = False

    @property
    def full(self) -> bool:
        """Whether the batch should be taken now, however young it is."""
        return (
            len(self._rows) >= self._max_rows
            or len(self._letters) >= self._max_rows
            or self._row_bytes + self._letter_bytes + _ENVELOPE_BYTES >= MAX_JOB_BYTES
        )

    def add(self, offset: int, key: bytes | None, value: bytes | None, now: float) -> Batch | None:
        """Add a record; returns the batch before it when this record does not fit in."""
        row = self._read(offset, key, value)
        before = None
        if isinstance(row, Letter):
            self._letters.append(row)
            self._letter_bytes += len(value or b"")
        else:
            version, plain, size = row
            if self._row_bytes + size + _ENVELOPE_BYTES > MAX_JOB_BYTES:
                before = self.take()
            self._keep(version, plain, size)
            self.is_urgent = self.is_urgent or version.urgent
        self._records += 1
        if self._first is None:
            self._first, self.began_at = offset, now
        self._last = offset
        return before

    def take(self) -> Batch | None:
        """The batch gathered so far, oldest offset first; None if there is nothing."""
        if self._first is None:
            return None
        rows = sorted(row for _, row, _ in self._rows.values())
        batch = Batch(self._first, self._last, rows, self._letters, self._records)
        self._clear()
        return batch

    def _keep(self, version: Version, row: Row, size: int) -> None:
        held = self._rows.get(version.subject)
        if held is not None:
            if held[0] > version.order:
                return
            self._row_bytes -= held[2]
        self._rows[version.subject] = (version.order, row, size)
        self._row_bytes += size

    def _read(self, offset: int, key: bytes | None, value: bytes | None) -> tuple[Version, Row, int] | Letter:
        if value is None:
            return Letter(offset, key, value, "record has no value, expected a JSON object")
        try:
            # Size first: a huge record is not worth parsing.
            text = value.decode()
            size = len(json.dumps(text)) + _ROW_BYTES
            if size + _ENVELOPE_BYTES > MAX_JOB_BYTES:
                return Letter(offset, key, value, f"record has {len(value)} bytes, expected less than {MAX_JOB_BYTES}")
            return self._version_of(value), Row(offset, text, key), size
        except UnicodeDecodeError as error:
            return Letter(offset, key, value, f"record is not UTF-8: {error.reason} at byte {error.start}")
        except DecodeError as error:
            return Letter(offset, key, value, error.reason)
