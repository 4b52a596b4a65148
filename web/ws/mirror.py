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
    fetch: Fetch | None


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
        # The oldest open time that can change from here on; None while no window has been read.
        self._oldest: int | None = None
        # Candles that open earlier may lack changes; None as above.
        self._complete_from: int | None = None
        # The last snapshot that was asked for: after a stop of ours, everybody asks for the same.
        self._snapshot: tuple[int, bytes] | None = None

    @property
    def complete_count(self) -> int:
        """How many of the newest candles are held and lack nothing."""
        first = self._complete_from
        return 0 if first is None else sum(timestamp >= first for timestamp in self._held)

    @property
    def count(self) -> int:
        """How many candles are held."""
        return len(self._held)

    # -- ways in ----------------------------------------------------------------------------------------------------

    def receive(self, cursor: Cursor, candle: Candle, reached: Cursor | None) -> list[Change]:
        """Take a message; ``reached`` is how far everything has come, with it. Returns what clients are told."""
        self._move_to(reached)
        changed = self._absorb(candle, cursor[1])
        if self._oldest is not None:
            self._oldest = min(self._oldest, candle.timestamp)
        # What leaves the window although messages are missing may have changed unseen.
        self._trim(is_sure=cursor == reached)
        return [Change(candle, reached)] if changed else []

    def load(self, window: Window, reached: Cursor | None, now_ms: int) -> tuple[list[Change], Fetch | None]:
        """Take a whole window; ``reached`` as in `receive`, ``now_ms`` the time, Unix milliseconds.

        Returns what clients are told, and the range in which changes may have gone by unseen, if there is one.
        """
        gap = self._fit(window, reached, now_ms)
        changed = [numbered for numbered in window.candles if self._absorb(numbered[1], numbered[0])]
        self._floor = max(self._floor, window.floor)
        self._move_to(reached)
        self._trim(is_sure=True)
        changes = [Change(candle, (window.epoch, seq)) for seq, candle in sorted(changed, key=lambda each: each[0])]
        return changes, gap

    def load_stored(self, newest: Candle | None) -> list[Change]:
        """Take the newest candle of the store, which has no number."""
        if newest is None or not self._absorb(newest, 0):
            return []
        return [Change(newest, self.cursor)]

    def _fit(self, window: Window, reached: Cursor | None, now_ms: int) -> Fetch | None:
        """Make a window fit what is held; returns the range in which changes can have come and gone between them."""
        before, oldest = self._oldest, min((candle.timestamp for _, candle in window.candles), default=None)
        if self.cursor is not None and self.cursor[0] == window.epoch and reached is not None:
            if self.cursor <= reached and self.cursor[1] >= window.floor:
                if window.seq >= self.cursor[1]:
                    self._oldest = oldest
                return None
            if self.cursor <= reached:
                # What is in the window is the truth; what has left it meanwhile may lack changes.
                self._oldest = self._complete_from = oldest
                return self.lacking(before, oldest)
        # Another server, an emptied or a restored one: what it holds may itself lack changes of a while ago. What is
        # held here stays, as a guard against older versions, but its numbers mean nothing any more.
        self._held = {timestamp: _Held(0, held.candle) for timestamp, held in self._held.items()}
        self._floor, self._oldest, self._complete_from = 0, oldest, oldest
        if before is not None:
            self._complete_from = self._next_open(now_ms)
        return self.lacking(before, self._complete_from)

    def _next_open(self, now_ms: int) -> int:
        length = self.series.interval.milliseconds
        return now_ms // length * length + length

    def _move_to(self, reached: Cursor | None) -> None:
        if self.cursor != reached:
            self.cursor, self._snapshot = reached, None

    def _absorb(self, candle: Candle, seq: int) -> bool:
        held = self._held.get(candle.timestamp)
        if held is None or held.candle.rev < candle.rev:
            self._held[candle.timestamp] = _Held(seq, candle)
            self._snapshot = None
            return True
        if held.candle.rev == candle.rev and held.seq < seq:
            self._held[candle.timestamp] = _Held(seq, held.candle)
        return False

    def _trim(self, *, is_sure: bool) -> None:
        has_left = False
        while len(self._held) > self._size:
            self._floor = max(self._floor, self._held.pop(min(self._held)).seq)
            has_left = True
        # The server has let go of the same, unless some of what is held here is from before it began anew.
        if has_left and is_sure and self._oldest is not None and all(held.seq for held in self._held.values()):
            self._oldest = max(self._oldest, min(self._held))
        if self.cursor is not None and self._oldest is not None:
            self._memory.note(self.cursor, self._oldest)

    # -- ways out ---------------------------------------------------------------------------------------------------

    def is_behind(self, cursor: Cursor) -> bool:
        """Whether the cursor, which another process may have given, is ahead of what has come here."""
        return self.cursor is None or (self.cursor[0] == cursor[0] and self.cursor < cursor)

    def resume(self, cursor: Cursor | None, now_ms: int) -> Resumption:
        """What changed since the cursor, each candle once and in its newest version, if that can be told."""
        ours = self.cursor
        if cursor is None or ours is None or cursor[0] != ours[0] or cursor > ours:
            # A number of this epoch that has not been reached is from before the server was emptied.
            is_remembered = cursor is not None and not self.is_behind(cursor)
            since = self._memory.oldest_change_since(cursor) if is_remembered and cursor is not None else None
            return Resumption(False, [], self.lacking(since or 0, self._next_open(now_ms)))
        if cursor[1] < self._floor:
            since = self._memory.oldest_change_since(cursor)
            known = [each for each in (self._complete_from, self._oldest) if each is not None]
            return Resumption(False, [], self.lacking(since or 0, max(known, default=None)))
        held_since = sorted((held for held in self._held.values() if held.seq > cursor[1]), key=lambda held: held.seq)
        # What came after something that is missing has a number beyond ours.
        return Resumption(True, [Change(held.candle, min(ours, (ours[0], held.seq))) for held in held_since], None)

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
