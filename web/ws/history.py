"""The store, as asyncio sees it: a few threads that wait for it, and one log line when it goes or comes back."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ingest.candle import Candle, Series
from web.reading import DEADLINE_SECONDS, GetStore
from workers.errors import StoreUnavailable
from workers.outage import Outage
from workers.store import deadline

logger = logging.getLogger(__name__)

T = TypeVar("T")

_THREADS = 2


class History:
    """Reads of the store; every method returns None while the store does not answer."""

    def __init__(self, get_store: GetStore) -> None:
        self._get_store = get_store
        self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="store")
        self._outage = Outage(logger, "the store")

    async def newest(self, series: Series, count: int = 1) -> list[Candle] | None:
        """At most so many of a series' newest candles, newest first."""
        return await self._read(lambda: self._get_store().find(series, limit=count))

    async def series(self) -> list[Series] | None:
        """Every stored series."""
        return await self._read(lambda: self._get_store().series())

    def close(self) -> None:
        """Wait for nothing any more."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def _read(self, read: Callable[[], T]) -> T | None:
        def within_deadline() -> T:
            with deadline(DEADLINE_SECONDS):
                return read()

        try:
            result = await asyncio.get_running_loop().run_in_executor(self._executor, within_deadline)
        except (StoreUnavailable, LookupError, ValueError, TypeError) as error:
            # The latter three: a document that somebody else wrote. It must not end the server either.
            self._outage.failed(error)
            return None
        self._outage.answered()
        return result
