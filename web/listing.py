"""What `/api/pairs` lists, read from the store at most every other second however many ask.

A list costs the store a look-up per pair, and one per series now and then. So each process keeps one list, for two
seconds; of those who ask meanwhile one reads and the others wait for it. An answer says how old it is.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from ingest.candle import Interval, Series
from web.answers import KnownSeries
from web.catalogue import Catalogue
from web.reading import DEADLINE_SECONDS, CandleReader, GetStore
from workers.errors import StoreUnavailable
from workers.rollup import open_time
from workers.store import deadline

#: How long a list is good (seconds).
KEEP_SECONDS: Final = 2.0
#: The same for earliest open times, which only a backfill changes.
KEEP_EARLIEST_SECONDS: Final = 60.0


class Listing(NamedTuple):
    """Every known series, and the moment of reading (monotonic seconds)."""

    rows: list[KnownSeries]
    read_at: float


class SeriesListing:
    """The list of a process; safe for use from several threads, its memory that of one list."""

    def __init__(
        self, get_store: GetStore, configured: Catalogue, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._get_store, self._configured, self._monotonic = get_store, configured, monotonic
        self._lock = threading.Lock()
        self._held: Listing | None = None
        self._newest: dict[Series, int] = {}
        self._earliest: dict[Series, int] = {}
        self._earliest_read_at = monotonic()

    def read(self) -> tuple[list[KnownSeries], int]:
        """The list, ordered by exchange, pair and length, and its age in whole seconds.

        Raises:
            StoreUnavailable: If the store does not answer in time. A failure is not kept.
        """
        started = time.monotonic()
        # Who waits for another's reading has one deadline for both.
        if not self._lock.acquire(timeout=DEADLINE_SECONDS):
            raise StoreUnavailable("list", f"no answer within {DEADLINE_SECONDS} s")
        try:
            held, now = self._held, self._monotonic()
            if held is None or now - held.read_at >= KEEP_SECONDS:
                with deadline(max(0.1, DEADLINE_SECONDS - (time.monotonic() - started))):
                    held = self._held = Listing(self._read(now), now)
            return held.rows, int(now - held.read_at)
        finally:
            self._lock.release()

    def _read(self, now: float) -> list[KnownSeries]:
        if now - self._earliest_read_at >= KEEP_EARLIEST_SECONDS:
            self._earliest, self._earliest_read_at = {}, now
        store = self._get_store()
        known = self._configured.with_stored(store.series()).series
        newest = self._newest = self._read_newest(store, known)
        self._earliest |= store.edges([series for series in newest if series not in self._earliest], newest=False)
        return [KnownSeries(*series, self._earliest.get(series), newest.get(series)) for series in known]

    def _read_newest(self, store: CandleReader, known: Sequence[Series]) -> dict[Series, int]:
        newest = store.edges([series for series in known if series.interval is Interval.M1], newest=True)
        to_ask = []
        for series in known:
            minute = newest.get(series._replace(interval=Interval.M1))
            # Larger candles are made of stored minutes: none can be newer than the one of the newest minute.
            if minute is not None and self._newest.get(series) == open_time(minute, series.interval):
                newest[series] = self._newest[series]
            elif series.interval is not Interval.M1:
                to_ask.append(series)
        return newest | store.edges(to_ask, newest=True)
