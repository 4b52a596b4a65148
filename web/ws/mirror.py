"""What one process holds of a series' window, sans I/O: every candle in its newest version, and each one's number.

`web.ws.stream` decides what the line protocol is told, and where in the stream we are; this holds what the JSON
protocol needs beyond: snapshots, what changed since a cursor, and whether that is all.
"""

from functools import cached_property
from typing import NamedTuple

from msgspec import UNSET

from ingest.candle import Candle, Series
from web.ws.cursors import Memory, format_cursor
from web.ws.frames import text_frame
from web.ws.messages import CandleMessage, Fetch, SnapshotMessage, body, encode, names
from web.ws.stream import Cursor
from workers.live import Window


class Change:
    """A candle that changed, and up to where a client that gets it has got everything."""

    def __init__(self, candle: Candle, cursor: Cursor | None) -> None:
        self.candle, self.cursor = candle, cursor

    @cached_property
    def frame(self) -> bytes:
        """The frame of it, the same for every client."""
        return self.frame_at(self.cursor)

    def frame_at(self, cursor: Cursor | None) -> bytes:
        """The frame of it for a client that has got everything up to another cursor only."""
        series = names(self.candle.series)
        message = CandleMessage(**series, cursor=format_cursor(cursor), candle=body(self.candle))
        return text_frame(encode(message))


class Resumption(NamedTuple):
    """What a client gets that brought a cursor along: all that changed since, or what it must fetch."""

    recovered: bool
    changes: list[Change]
    #: Open time from which on changes may be missing, Unix milliseconds.
    missing_from: int


class _Held(NamedTuple):
    seq: int
    candle: Candle


class Mirror:
    """One series.

    Args:
        series: Which.
        size: How many candles are held, the newest.
        memory: What is remembered of earlier cursors; it outlives the mirror.
    """

    def __init__(self, series: Series, size: int, memory: Memory) -> None:
        self.series, self._size, self._memory = series, size, memory
        #: Everything up to here has been taken in; None while the live side has told nothing.
        self.cursor: Cursor | None = None
        self._held: dict[int, _Held] = {}
        self._floor = 0
        #: Candles that open earlier may lack changes; None while no window has been read.
        self._complete_from: int | None = None
        # The last snapshot that was asked for: after a stop of ours, everybody asks for the same.
        self._snapshot: tuple[int, bytes] | None = None

    @property
    def complete_count(self) -> int:
        """How many of the newest candles are held and are the truth."""
        first = self.complete_from
        return 0 if first is None else sum(timestamp >= first for timestamp in self._held)

    @property
    def complete_from(self) -> int | None:
        """The open time from which on what is held is the truth; None if nothing is."""
        if self._complete_from is None or not self._held:
            return None
        return max(self._complete_from, min(self._held))

    # -- ways in ----------------------------------------------------------------------------------------------------

    def receive(self, candle: Candle, seq: int, reached: Cursor | None) -> list[Change]:
        """Take a message; ``reached`` is how far everything has come, with it. Returns what clients are told."""
        self._move_to(reached)
        changed = self._absorb(candle, seq)
        self._trim()
        return [Change(candle, reached)] if changed else []

    def load(self, window: Window, reached: Cursor | None) -> tuple[list[Change], Fetch | None]:
        """Take a whole window; ``reached`` as in `receive`.

        Returns what clients are told, and the range in which changes may have gone by unseen, if there is one.
        """
        before = self.complete_from
        is_broken = self._is_broken_by(window, reached)
        if is_broken:
            self._begin_anew(window)
        changed = [numbered for numbered in window.candles if self._absorb(numbered[1], numbered[0])]
        self._floor = max(self._floor, window.floor)
        self._move_to(reached)
        self._trim()
        changes = [Change(candle, (window.epoch, seq)) for seq, candle in sorted(changed, key=lambda each: each[0])]
        return changes, self.lacking(before, self.complete_from) if is_broken else None

    def load_stored(self, newest: Candle | None) -> list[Change]:
        """Take the newest candle of the store, which has no number."""
        if newest is None or not self._absorb(newest, 0):
            return []
        return [Change(newest, self.cursor)]

    def _is_broken_by(self, window: Window, reached: Cursor | None) -> bool:
        """Whether between what is held and this window changes can have come and gone."""
        if self.cursor is None or reached is None or self.cursor[0] != window.epoch:
            return True
        # Numbers that go back: the server was emptied.
        return self.cursor[1] < window.floor or reached < self.cursor

    def _move_to(self, reached: Cursor | None) -> None:
        if self.cursor != reached:
            self.cursor, self._snapshot = reached, None

    def _begin_anew(self, window: Window) -> None:
        # What is held stays: it guards against older versions. But its numbers mean nothing any more, and what is
        # older than the window may lack changes.
        self._held = {timestamp: _Held(0, held.candle) for timestamp, held in self._held.items()}
        self._floor = 0
        self._complete_from = min((candle.timestamp for _, candle in window.candles), default=None)

    def _absorb(self, candle: Candle, seq: int) -> bool:
        held = self._held.get(candle.timestamp)
        if held is None or held.candle.rev < candle.rev:
            self._held[candle.timestamp] = _Held(seq, candle)
            self._snapshot = None
            return True
        if held.candle.rev == candle.rev and held.seq < seq:
            self._held[candle.timestamp] = _Held(seq, held.candle)
        return False

    def _trim(self) -> None:
        while len(self._held) > self._size:
            self._floor = max(self._floor, self._held.pop(min(self._held)).seq)
        if self.cursor is not None and self.complete_from is not None:
            self._memory.note(self.cursor, self.complete_from)

    # -- ways out ---------------------------------------------------------------------------------------------------

    def is_behind(self, cursor: Cursor) -> bool:
        """Whether the cursor, which another process may have given, is ahead of what has come here."""
        return self.cursor is None or (self.cursor[0] == cursor[0] and self.cursor[1] < cursor[1])

    def resume(self, cursor: Cursor | None) -> Resumption:
        """What changed since the cursor, each candle once and in its newest version, if that can be told."""
        ours = self.cursor
        if cursor is None or ours is None or cursor[0] != ours[0] or not self._floor <= cursor[1] <= ours[1]:
            missing_from = None if cursor is None else self._memory.oldest_change_since(cursor)
            return Resumption(False, [], missing_from or 0)
        since = sorted((held for held in self._held.values() if held.seq > cursor[1]), key=lambda held: held.seq)
        # What came after something that is missing has a number beyond ours.
        changes = [Change(held.candle, min(ours, (ours[0], held.seq))) for held in since]
        return Resumption(True, changes, 0)

    def newest(self, count: int, stored: list[Candle]) -> list[Candle]:
        """The newest candles, oldest first, of what is held and ``stored``; of each the newer version."""
        candles = {candle.timestamp: candle for candle in stored}
        for timestamp, held in self._held.items():
            if timestamp not in candles or candles[timestamp].rev < held.candle.rev:
                candles[timestamp] = held.candle
        newest = sorted(candles)[-count:] if count else []
        return [candles[timestamp] for timestamp in newest]

    def snapshot(self, count: int) -> bytes:
        """A snapshot's text, of what is held alone."""
        if self._snapshot is None or self._snapshot[0] != count:
            self._snapshot = count, self.snapshot_of(self.newest(count, []))
        return self._snapshot[1]

    def snapshot_of(self, candles: list[Candle], *, truncated: bool = False) -> bytes:
        """A snapshot's text, of these candles, oldest first."""
        bodies = [body(candle) for candle in candles]
        return encode(
            SnapshotMessage(
                **names(self.series),
                cursor=format_cursor(self.cursor),
                candles=bodies,
                truncated=True if truncated else UNSET,
            )
        )

    def lacking(self, since: int | None, until: int | None) -> Fetch | None:
        """The range of open times from ``since`` to before ``until``; None if there is none, or an end is not known."""
        if since is None or until is None or since > until - self.series.interval.milliseconds:
            return None
        return Fetch(**names(self.series), from_=since, to=until - self.series.interval.milliseconds)
