"""What REST reads from the store, and how long it waits for it."""

from collections.abc import Callable
from typing import Protocol

from ingest.candle import Candle, Series
from web.catalogue import Catalogue
from web.errors import UnknownName

#: All reads of one request together, in seconds: REST answers, or says that it cannot, within five.
DEADLINE_SECONDS = 4.0
#: A probe's share: what has not answered by then is not ready.
PROBE_SECONDS = 2.0


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

    def series(self) -> list[Series]:
        """Every stored series."""

    def bounds(self, series: Series) -> tuple[int, int] | None:
        """Earliest and newest open time."""

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
