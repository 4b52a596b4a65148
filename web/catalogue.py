"""Which exchanges, pairs and series are known: those that are configured, and those that are stored."""

from collections.abc import Iterable, Mapping
from typing import Self

from ingest.candle import Interval, Series


class Catalogue:
    """A snapshot of what is known; asking it costs a look-up.

    State per pair is only ever made for known pairs, so a client cannot make a server grow by asking for names.
    """

    def __init__(self, configured: Mapping[str, Iterable[str]], stored: Iterable[Series] = ()) -> None:
        self._configured = {exchange: tuple(pairs) for exchange, pairs in configured.items()}
        self._stored = tuple(stored)
        followed = (Series(name, pair, Interval.M1) for name, pairs in self._configured.items() for pair in pairs)
        self.series = tuple(sorted({*followed, *self._stored}, key=_order))
        self._pairs = {(series.exchange, series.pair) for series in self.series}
        self._exchanges = {series.exchange for series in self.series} | set(self._configured)

    def with_stored(self, stored: Iterable[Series]) -> Self:
        """The same configuration beside what is stored now."""
        return type(self)(self._configured, stored)

    @property
    def default_exchange(self) -> str:
        """The exchange of whoever does not name one: the first that is configured."""
        return next(iter(self._configured))

    def knows_exchange(self, exchange: str) -> bool:
        """Whether the exchange is configured or has stored candles."""
        return exchange in self._exchanges

    def knows_pair(self, exchange: str, pair: str) -> bool:
        """Whether the pair is configured for the exchange, or has stored candles of any interval."""
        return (exchange, pair) in self._pairs


def _order(series: Series) -> tuple[str, str, int]:
    """By exchange, pair and length."""
    return series.exchange, series.pair, series.interval.milliseconds
