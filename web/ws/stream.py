"""What one process knows of one series, sans I/O: its newest candle, its place in the stream, whether it missed any.

Three ways in: a message from the channel, a whole window (the hash, read at one moment), and a look at the hash's
counters. The window and the counters exist because the channel loses messages without a word.
"""

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from ingest.candle import Candle, Series
from ingest.codec import decode_candle
from ingest.errors import DecodeError
from workers.live import Window

#: One run of the Redis server, and the number of a change within it.
Cursor = tuple[str, int]


class _Message(msgspec.Struct):
    cursor: str
    candle: msgspec.Raw


_message_decoder = msgspec.json.Decoder(_Message)


def parse_message(payload: bytes) -> tuple[Cursor, Candle]:
    """Read a message of a series' channel.

    Raises:
        DecodeError: If it holds no cursor or no valid candle.
    """
    try:
        message = _message_decoder.decode(payload)
        epoch, _, seq = message.cursor.rpartition(":")
        cursor = epoch, int(seq)
    except (msgspec.DecodeError, ValueError) as error:
        raise DecodeError(payload, str(error)) from error
    return cursor, decode_candle(bytes(message.candle))


class Line(msgspec.Struct, gc=False):
    """A candle as the line protocol sends it: these keys, in this order."""

    pair: str
    timestamp: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


# Decimals go out as JSON numbers with the digits they have.
_line_encoder = msgspec.json.Encoder(decimal_format="number")


def encode_line(candle: Candle) -> bytes:
    """A candle as the line protocol sends it."""
    pair, timestamp, values = candle.pair, candle.timestamp, candle.values
    return _line_encoder.encode(Line(pair, timestamp, *values))


class Stream:
    """One series; every method that takes candles returns those that subscribers have to be told, oldest first."""

    def __init__(self, series: Series) -> None:
        self.series = series
        #: The newest candle by open time, then ``rev``.
        self.newest: Candle | None = None
        #: Whether the window or the store has been read: until then a newest candle may exist that we do not know.
        self.loaded = False
        self._cursor: Cursor | None = None
        # At the last check: the hash's counters, and how far we were.
        self._expected: Cursor | None = None
        self._reached: Cursor | None = None

    @property
    def cursor(self) -> Cursor | None:
        """Everything up to here has come; None while the live side has told nothing."""
        return self._cursor

    def receive(self, cursor: Cursor, candle: Candle) -> tuple[list[Candle], bool]:
        """Take a message; the flag says that messages before it are missing, so the window must be read."""
        missed = self.loaded and (
            self._cursor is None or cursor[0] != self._cursor[0] or cursor[1] > self._cursor[1] + 1
        )
        if missed and self.newest is not None and candle.timestamp > self.newest.timestamp:
            # What is missing may hold the values that the minute before ended with, and after this candle they could
            # not be told any more. The window holds both.
            return [], True
        if self.loaded and not missed:
            self._cursor = max(self._cursor or cursor, cursor)
        return self.absorb([candle]), missed

    def load(self, window: Window) -> list[Candle]:
        """Take a whole window."""
        cursor = window.epoch, window.seq
        # A window that was read before a message that has come meanwhile knows less than we do.
        if self._cursor is None or self._cursor[0] != cursor[0] or self._cursor < cursor:
            self._cursor = cursor
        candles = [candle for _, candle in window.candles]
        # Who has seen nothing yet is told the newest; who has is told what came since.
        if not self.loaded and self.newest is None:
            candles = candles[-1:]
        self.loaded = True
        return self.absorb(candles)

    def load_stored(self, newest: Candle | None) -> list[Candle]:
        """Take the newest candle of the store, or that there is none."""
        self.loaded = True
        return self.absorb([] if newest is None else [newest])

    def check(self, counters: Cursor | None) -> bool:
        """Take the hash's counters, read now; True if the window must be read.

        A change of this moment may still be on its way here, so a change counts as missed if it was there at the
        last check already and has not been seen since.
        """
        expected, self._expected = self._expected, counters
        reached, self._reached = self._reached, self._cursor
        if counters is None:
            return False
        if self._cursor is None or self._cursor[0] != counters[0]:
            return True
        if reached is not None and reached[0] == counters[0] and counters[1] < reached[1]:
            # Redis was emptied without a restart and counts from the beginning; what it holds now is what counts.
            self._cursor = None
            return True
        return expected is not None and expected[0] == self._cursor[0] and self._cursor[1] < expected[1]

    def absorb(self, candles: Iterable[Candle]) -> list[Candle]:
        """Move forward; candles in ascending order of open time."""
        changes = []
        for candle in candles:
            if self.newest is not None:
                if (candle.timestamp, candle.rev) <= (self.newest.timestamp, self.newest.rev):
                    continue
                if candle.timestamp == self.newest.timestamp and candle.values == self.newest.values:
                    # Another state, the same values: nothing that the line protocol shows.
                    self.newest = candle
                    continue
            self.newest = candle
            changes.append(candle)
        return changes
