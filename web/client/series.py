"""One pair of a stream: what it still has to read over REST, and what of all it hears is news."""

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Final, Protocol

from ingest.backoff import Backoff
from ingest.candle import Candle, Interval
from web.client.errors import Unavailable
from web.client.finals import SETTLE_SECONDS, Finals
from web.client.inbox import Inbox
from web.client.paging import Paging, Range
from web.client.rest import AsyncClient
from web.client.versions import Versions

#: Candles per request while a stream catches up.
PAGE: Final = 2_000
#: The most candles that the server's live window holds: none older changes unheard.
WINDOW: Final = 500
#: Finals are read again this often (seconds), even if the live side tells of none, and while some wait behind a hole.
LOOK_SECONDS: Final = 30.0
HOLE_LOOK_SECONDS: Final = 2.0
#: A history of at least this length (milliseconds) is believed to begin where it begins.
HISTORY_MS: Final = 60 * 60_000


class Follower(Protocol):
    """What a stream does with one pair."""

    def heard(self, candles: list[Candle], *, is_snapshot: bool) -> None:
        """Take what the live side tells: changes, or what holds now."""

    def subscribed(self) -> None:
        """Changes come from now on, perhaps not for the first time."""

    def missed(self, since_ms: int, until_ms: int | None) -> None:
        """Changes of this range may not have been told."""

    async def run(self) -> None:
        """Read over REST what has to be read, for as long as the stream lasts."""


class Reading:
    """Pages of one pair, asked for until they come; ``trouble`` is told what is in the way."""

    def __init__(self, rest: AsyncClient, wanted: Range, trouble: Callable[[str], None]) -> None:
        self.rest, self.wanted, self._trouble = rest, wanted, trouble

    def range(self, since_ms: int, until_ms: int | None = None, *, finals_only: bool = False) -> Range:
        """The pair's candles that open in this range."""
        return replace(self.wanted, since_ms=since_ms, until_ms=until_ms, finals_only=finals_only)

    async def page(self, paging: Paging) -> list[Candle]:
        """The next page, however long that takes.

        Raises:
            Refused: If the server does not know the pair, or not any more.
            NotUnderstood: If what answers is not this server.
        """
        backoff = Backoff(0.5, 15.0)
        while True:
            try:
                return await self.rest.page(paging)
            except Unavailable as error:
                self._trouble(f"{error}; asking again")
                await asyncio.sleep(backoff.next_delay_seconds())


class EveryVersion:
    """Tells every version that comes, each once and none after a newer one; history first if it is wanted.

    What the live side did not tell is read from the store at once and, since that may be behind, once more after
    ``settle_seconds``.
    """

    def __init__(
        self, reading: Reading, inbox: Inbox, since_ms: int | None, settle_seconds: float = SETTLE_SECONDS
    ) -> None:
        self._reading, self._inbox, self._settle_seconds = reading, inbox, settle_seconds
        self._interval_ms = Interval(reading.wanted.interval).milliseconds
        self._versions = Versions()
        self._since_ms = self._begins_ms = since_ms
        # While history is read: what the live side tells, by open time, to come after it.
        self._held: dict[int, Candle] | None = None if since_ms is None else {}
        self._ranges: asyncio.Queue[tuple[int, int | None]] = asyncio.Queue()
        self._second_looks: set[asyncio.TimerHandle] = set()
        self._is_subscribed = asyncio.Event()

    def heard(self, candles: list[Candle], *, is_snapshot: bool) -> None:
        """As `Follower`."""
        if is_snapshot and candles:
            # The newest is where a stream without history begins; what opened before was never asked for.
            begins_ms = self._begins_ms = candles[-1].timestamp if self._begins_ms is None else self._begins_ms
            candles = [candle for candle in candles if candle.timestamp >= begins_ms]
        if self._held is None:
            self._tell(candles)
            return
        for candle in candles:
            held = self._held.get(candle.timestamp)
            if held is None or held.rev < candle.rev:
                self._held[candle.timestamp] = candle

    def subscribed(self) -> None:
        """As `Follower`."""
        self._is_subscribed.set()

    def missed(self, since_ms: int, until_ms: int | None) -> None:
        """As `Follower`; the server says 0 where it cannot know since when we were away, and we can."""
        if self._begins_ms is None:
            return  # the snapshot that comes is where it begins
        if since_ms == 0 and self._versions.newest is not None:
            since_ms = self._versions.newest - WINDOW * self._interval_ms
        # What opens before the stream's own beginning was never asked for.
        since_ms = max(since_ms, self._begins_ms)
        if until_ms is None or since_ms <= until_ms:
            self._ranges.put_nowait((since_ms, until_ms))
            self._look_again(since_ms, until_ms)

    async def run(self) -> None:
        """As `Follower`."""
        # Not before: what changes between the reading and the subscription would be in neither.
        await self._is_subscribed.wait()
        try:
            if self._held is not None:
                await self._read(self._since_ms or 0, None)
                newest_ms = self._versions.newest or 0
                held, self._held = self._held, None
                self._tell(held[timestamp] for timestamp in sorted(held))
                self._look_again(max(self._since_ms or 0, newest_ms - WINDOW * self._interval_ms), None)
            while True:
                await self._read(*await self._ranges.get())
        finally:
            for each in self._second_looks:
                each.cancel()

    def _look_again(self, since_ms: int, until_ms: int | None) -> None:
        def look() -> None:
            self._second_looks.discard(timer)
            self._ranges.put_nowait((since_ms, until_ms))

        timer = asyncio.get_running_loop().call_later(self._settle_seconds, look)
        self._second_looks.add(timer)

    async def _read(self, since_ms: int, until_ms: int | None) -> None:
        paging = Paging(self._reading.range(since_ms, until_ms), page_size=PAGE)
        while not paging.done:
            self._tell(await self._reading.page(paging))
            await self._inbox.room()

    def _tell(self, candles: Iterable[Candle]) -> None:
        for candle in candles:
            if self._begins_ms is None:
                self._begins_ms = candle.timestamp
            if candle.timestamp >= (self._since_ms or 0) and self._versions.is_news(candle):
                self._inbox.put(candle)


class OnlyFinals:
    """Tells each final that the store has or will have, once, in order of open time; how is in `web.client.finals`.

    The store is read at the beginning, whenever the connection was made anew or the server lost its place, when a
    hole shows, and now and then; in between the live side alone is as good.
    """

    def __init__(
        self, reading: Reading, inbox: Inbox, since_ms: int | None, settle_seconds: float = SETTLE_SECONDS
    ) -> None:
        self._reading, self._inbox, self._since_ms = reading, inbox, since_ms
        self._settle_seconds = settle_seconds
        self._look = asyncio.Event()
        self._finals: Finals | None = None

    def heard(self, candles: list[Candle], *, is_snapshot: bool) -> None:
        """As `Follower`."""
        # Before the beginning is known the store is read anyway, after this.
        if self._finals is not None:
            waited = self._finals.waits
            self._tell(self._finals.hear(candles))
            # Once per hole: while some wait, the store is looked at in its own time and not at each change.
            if self._finals.waits and not waited:
                self._look.set()

    def subscribed(self) -> None:
        """As `Follower`."""
        self._look.set()

    def missed(self, since_ms: int, until_ms: int | None) -> None:
        """As `Follower`; wherever that is, what has not been told yet is read from where we are."""
        self._look.set()

    async def run(self) -> None:
        """As `Follower`."""
        finals = await self._begin()
        self._finals = finals
        while True:
            self._look.clear()
            told_until_ms = finals.told_until_ms
            more_follow = await self._read(finals)
            if more_follow and finals.told_until_ms > told_until_ms:
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(HOLE_LOOK_SECONDS if finals.waits else LOOK_SECONDS):
                    await self._look.wait()

    async def _begin(self) -> Finals:
        newest = await self._one(self._reading.range(0, finals_only=True), newest_first=True)
        newest_ms = newest[0].timestamp if newest else -1
        told_until_ms = newest_ms if self._since_ms is None else await self._before(self._since_ms, newest_ms)
        interval_ms = Interval(self._reading.wanted.interval).milliseconds
        finals = Finals(interval_ms, told_until_ms, self._settle_seconds)
        if newest:
            finals.note_stored(newest_ms, time.monotonic())
        return finals

    async def _before(self, since_ms: int, newest_ms: int) -> int:
        """Up to where nothing is to be told: to ``since_ms``, or to where the history begins if that is later.

        Without this all of a history that begins later would wait for what is before it.
        """
        first = await self._one(self._reading.range(since_ms, finals_only=True))
        # A history that has hardly begun may be one whose first rows are still being written.
        if not first or newest_ms - first[0].timestamp < HISTORY_MS:
            return since_ms - 1
        earlier = await self._one(self._reading.range(0, first[0].timestamp - 1))
        return since_ms - 1 if earlier else first[0].timestamp - 1

    async def _one(self, wanted: Range, *, newest_first: bool = False) -> list[Candle]:
        return await self._reading.page(Paging(wanted, limit=1, newest_first=newest_first))

    async def _read(self, finals: Finals) -> bool:
        """Read one page from where we are; whether more follow it."""
        paging = Paging(self._reading.range(finals.told_until_ms + 1, finals_only=True), page_size=PAGE)
        began_at = time.monotonic()
        page = await self._reading.page(paging)
        # No further than the store has something: what the live side alone knows may yet be written before its hole.
        until_ms = page[-1].timestamp if page else finals.told_until_ms
        self._tell(finals.read(page, until_ms, began_at, time.monotonic()))
        await self._inbox.room()
        return not paging.done

    def _tell(self, candles: Iterable[Candle]) -> None:
        for candle in candles:
            self._inbox.put(candle)
