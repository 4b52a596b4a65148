"""One series that this process serves: what is known of it, and who is told."""

import asyncio
from typing import Protocol

from ingest.candle import Candle, Series
from ingest.clock import SystemClock, now_ms
from web import metrics
from web.ws.cursors import Memory
from web.ws.frames import text_frame
from web.ws.messages import Fetch
from web.ws.mirror import Change, Mirror
from web.ws.stream import Cursor, Stream, encode_line
from workers.live import Window

_clock = SystemClock()


class Subscriber(Protocol):
    """Whoever is told of changes by the line protocol; must not wait, and must not raise."""

    def offer(self, series: Series, timestamp: int, frame: bytes, /) -> None:
        """Take the frame of a candle that opens at ``timestamp``."""


class Listener(Protocol):
    """Whoever is told of changes by the JSON protocol; must not wait, and must not raise."""

    def take(self, change: Change) -> None:
        """Take a change."""

    def warn(self, gap: Fetch) -> None:
        """Take notice that changes of this range may have been missed."""


class Served:
    """One series, for its subscribers of both protocols."""

    def __init__(self, series: Series, size: int, memory: Memory) -> None:
        self.series = series
        self.stream = Stream(series)
        self.mirror = Mirror(series, size, memory)
        self.subscribers: set[Subscriber] = set()
        self.listeners: set[Listener] = set()
        #: Checks since the last subscriber left.
        self.idle_checks = 0
        # The newest candle's frame.
        self._frame: bytes | None = None
        self._waiting: set[asyncio.Future[None]] = set()

    @property
    def is_wanted(self) -> bool:
        """Whether anybody is told."""
        return bool(self.subscribers or self.listeners)

    def subscribe(self, subscriber: Subscriber) -> None:
        """Tell the subscriber the newest candle, now or as soon as it is known, and then every change."""
        self.subscribers.add(subscriber)
        if self._frame is not None and self.stream.newest is not None:
            subscriber.offer(self.series, self.stream.newest.timestamp, self._frame)

    def receive(self, cursor: Cursor, candle: Candle) -> bool:
        """Take a message; True if messages before it are missing, so that the window must be read."""
        lines, is_missing = self.stream.receive(cursor, candle)
        changes = self.mirror.receive(cursor, candle, self.stream.cursor)
        self._tell(lines, changes)
        return is_missing

    def load(self, window: Window) -> None:
        """Take a whole window."""
        lines = self.stream.load(window)
        changes, gap = self.mirror.load(window, self.stream.cursor, now_ms(_clock))
        if gap is not None:
            metrics.ws_gaps_total.inc()
            for listener in tuple(self.listeners):
                listener.warn(gap)
        self._tell(lines, changes)
        self.announce()

    def load_stored(self, newest: Candle | None) -> None:
        """Take the newest candle of the store, or that there is none."""
        lines = self.stream.load_stored(newest)
        self._tell(lines, self.mirror.load_stored(newest))

    def answer(self) -> "asyncio.Future[None]":
        """Something that is done once the live side or the store has answered, or has failed to."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        # Who has waited long enough leaves nothing behind.
        future.add_done_callback(self._waiting.discard)
        return future

    def announce(self) -> None:
        """Let those go on who wait for an answer."""
        for future in tuple(self._waiting):
            if not future.done():
                future.set_result(None)

    def _tell(self, lines: list[Candle], changes: list[Change]) -> None:
        for candle in lines:
            self._frame = frame = text_frame(encode_line(candle))
            for subscriber in tuple(self.subscribers):
                subscriber.offer(self.series, candle.timestamp, frame)
        for change in changes:
            for listener in tuple(self.listeners):
                listener.take(change)
