"""What REST reads from the store, and how long it waits for it."""

import errno
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

from ingest.candle import Candle, Series
from web.catalogue import Catalogue
from web.errors import UnknownName
from web.gthread import part_taken
from web.params import CandleQuery
from workers.errors import StoreUnavailable
from workers.store import deadline
from workers.stored_rows import StoredRow

logger = logging.getLogger(__name__)

#: All reads of one request together, in seconds: REST answers, or says that it cannot, within five.
DEADLINE_SECONDS = 4.0
#: A probe's share: what has not answered by then is not ready.
PROBE_SECONDS = 2.0
#: Rows that a long answer holds in memory.
PART_ROWS = 2_000


class CandleReader(Protocol):
    """The part of `workers.store.CandleStore` that REST uses; every method raises `StoreUnavailable`."""

    def find(
        self,
        series: Series,
        since_ms: int | None = None,
        until_ms: int | None = None,
        *,
        limit: int,
        newest_first: bool = True,
    ) -> list[Candle]:
        """Candles of a series by open time, both ends inclusive."""

    def find_rows(
        self,
        series: Series,
        since_ms: int | None = None,
        until_ms: int | None = None,
        *,
        limit: int,
        newest_first: bool = True,
        finals_only: bool = False,
    ) -> list[StoredRow]:
        """The same as rows of text."""

    def series(self) -> list[Series]:
        """Every stored series."""

    def edges(self, all_series: Sequence[Series], *, newest: bool) -> dict[Series, int]:
        """The newest or the earliest open time of each series that has candles."""

    def ping(self) -> None:
        """Return if the store answers."""


#: Gives the process's store; called on first use, so that nothing is connected before gunicorn has forked.
GetStore = Callable[[], CandleReader]


def require_known(catalogue: Catalogue, exchange: str, pair: str) -> None:
    """Raise `UnknownName` unless the pair is configured or stored."""
    if not catalogue.knows_exchange(exchange):
        raise UnknownName("exchange", exchange, "one of those that /api/pairs lists")
    if not catalogue.knows_pair(exchange, pair):
        raise UnknownName("pair", pair, f"one of those that /api/pairs lists for {exchange}")


class Page(NamedTuple):
    """Candles in the order asked for, and whether more follow."""

    rows: list[StoredRow]
    follows: bool


def read_page(store: CandleReader, configured: Catalogue, query: CandleQuery, limit: int) -> Page:
    """The first ``limit`` candles of what is asked for.

    Raises:
        UnknownName: If the pair is neither configured nor stored.
        StoreUnavailable: If the store does not answer in time.
    """
    with deadline(DEADLINE_SECONDS):
        # One more than asked for tells whether there are more.
        rows = _find(store, query, query.begins_ms, query.ends_ms, limit + 1)
        # Having candles proves a name; only an empty answer needs the question.
        if not rows:
            exchange, pair = query.series.exchange, query.series.pair
            if not configured.knows_pair(exchange, pair):
                require_known(configured.with_stored(store.series()), exchange, pair)
    return Page(rows[:limit], follows=len(rows) > limit)


def read_parts(store: CandleReader, query: CandleQuery, first: Page) -> Iterator[list[StoredRow]]:
    """The rows of an answer of any length, part by part, each read when the one before it has been taken.

    Parts are joined by open time, which is unique in a series: nothing is skipped or repeated, whatever is written
    meanwhile.

    Raises:
        ConnectionResetError: If the store goes away. What was sent cannot be taken back; the connection breaking off
            keeps the client from taking it for everything.
    """
    part, sent = first, len(first.rows)
    yield part.rows
    while part.follows and sent < query.limit:
        part_taken()
        limit = min(PART_ROWS, query.limit - sent)
        last_ms = part.rows[-1][0]
        begins, ends = (query.begins_ms, last_ms - 1) if query.newest_first else (last_ms + 1, query.ends_ms)
        try:
            with deadline(DEADLINE_SECONDS):
                rows = _find(store, query, begins, ends, limit + 1)
        except StoreUnavailable as error:
            logger.warning("a long answer breaks off", extra={"rows": sent, "reason": str(error)})
            raise ConnectionResetError(errno.ECONNRESET, "the store went away") from error
        part = Page(rows[:limit], follows=len(rows) > limit)
        sent += len(part.rows)
        if part.rows:
            yield part.rows


def _find(
    store: CandleReader, query: CandleQuery, begins_ms: int | None, ends_ms: int | None, limit: int
) -> list[StoredRow]:
    return store.find_rows(
        query.series,
        begins_ms,
        ends_ms,
        limit=limit,
        newest_first=query.newest_first,
        finals_only=query.finals_only,
    )
