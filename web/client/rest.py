"""History over REST, for ordinary programs and for asyncio; which requests those are is in `web.client.paging`."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType
from typing import Final, Self, TypeVar

import httpx

from ingest.backoff import Backoff
from ingest.candle import Candle
from web.answers import KnownSeries
from web.client.address import Address
from web.client.errors import NotInstalled, Unavailable
from web.client.paging import CANDLES_PATH, MAX_PAGE, PAIRS_PATH, Paging, Range, read_pairs, refusal
from web.client.table import Candles
from web.client.times import Time, milliseconds

DEFAULT_URL: Final = "http://127.0.0.1:8080"
#: How often a request is sent before its failure is one, unless the caller says otherwise.
ATTEMPTS: Final = 4
#: REST answers within five seconds, or says that it cannot.
TIMEOUT_SECONDS: Final = 10.0
#: The longest that a server may ask to wait (seconds).
_MAX_RETRY_AFTER_SECONDS: Final = 60.0
#: Not now, perhaps later.
_TRY_AGAIN: Final = frozenset({429, 500, 502, 503, 504})


_Http = TypeVar("_Http", httpx.Client, httpx.AsyncClient)


def _open(kind: Callable[..., _Http], address: Address) -> _Http:
    try:
        return kind(base_url=address.url, timeout=TIMEOUT_SECONDS, trust_env=not address.is_here)
    except ImportError:
        raise NotInstalled("the SOCKS proxy that the environment names", "httpx[socks]") from None


class _Attempts:
    """Whether and when to ask again; one per request."""

    def __init__(self, server: str, attempts: int) -> None:
        self._server, self._left, self._backoff = server, attempts, Backoff(0.2, 5.0)

    def after_answer(self, answer: httpx.Response, path: str) -> float | None:
        """None if the answer is good, else the seconds to wait before asking again."""
        if answer.status_code in _TRY_AGAIN:
            wanted = answer.headers.get("retry-after", "")
            at_least = min(float(wanted), _MAX_RETRY_AFTER_SECONDS) if wanted.isascii() and wanted.isdigit() else 0.0
            return max(at_least, self._next(f"status {answer.status_code}"))
        if answer.status_code != 200:
            raise refusal(answer.status_code, path, answer.content)
        return None

    def after_failure(self, error: httpx.HTTPError) -> float:
        """The seconds to wait before asking again."""
        return self._next(str(error) or type(error).__name__)

    def _next(self, reason: str) -> float:
        self._left -= 1
        if self._left <= 0:
            raise Unavailable(self._server, reason)
        return self._backoff.next_delay_seconds()


def _range(
    pair: str, exchange: str | None, interval: str, since: Time | None, until: Time | None, finals_only: bool
) -> Range:
    return Range(
        pair=pair,
        exchange=exchange,
        interval=interval,
        since_ms=None if since is None else milliseconds(since),
        until_ms=None if until is None else milliseconds(until),
        finals_only=finals_only,
    )


class Client:
    """Reads history from the REST API at ``url``; a context manager that keeps its connections.

    A request is sent up to ``attempts`` times, with growing pauses, while the server is away or says that it cannot at
    the moment.

    Raises:
        ValueError: If ``url`` is no address.
        NotInstalled: If the environment names a SOCKS proxy, and what that needs is missing.

    >>> with Client("http://127.0.0.1:8080") as client:  # doctest: +SKIP
    ...     hours = client.candles("BTC-USD", interval="1h", limit=24)
    """

    def __init__(self, url: str = DEFAULT_URL, *, attempts: int = ATTEMPTS) -> None:
        address = Address.parse(url, DEFAULT_URL)
        self._server, self._attempts = address.shown, attempts
        self._http = _open(httpx.Client, address)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def candles(
        self,
        pair: str,
        *,
        exchange: str | None = None,
        interval: str = "1m",
        since: Time | None = None,
        until: Time | None = None,
        limit: int | None = None,
        finals_only: bool = False,
    ) -> Candles:
        """Candles of one pair, oldest first, as many pages as that takes.

        Args:
            pair: For example ``BTC-USD``.
            exchange: Whose candles; None: those of the server's first exchange.
            interval: ``1m``, ``5m``, ``15m``, ``30m``, ``1h``, ``4h`` or ``1d``.
            since, until: First and last open time, both inclusive: Unix milliseconds, or datetimes with a zone.
            limit: At most so many, the newest; None: all. All are held in memory; `iter_candles` holds one page.
            finals_only: Only candles that are final or corrected.

        Raises:
            Refused: If the pair is not known, or a parameter is not as expected.
            Unavailable: If the server does not answer.
            NotUnderstood: If what answers is not this server.
        """
        wanted = _range(pair, exchange, interval, since, until, finals_only)
        if limit is None:
            return Candles(self._pages(Paging(wanted)))
        return Candles(reversed(list(self._pages(Paging(wanted, limit=limit, newest_first=True)))))

    def iter_candles(
        self,
        pair: str,
        *,
        exchange: str | None = None,
        interval: str = "1m",
        since: Time | None = None,
        until: Time | None = None,
        finals_only: bool = False,
        page_size: int = MAX_PAGE,
    ) -> Iterator[Candle]:
        """The same as `candles`, one after the other; no more than ``page_size`` (1 to 10,000) are in memory."""
        wanted = _range(pair, exchange, interval, since, until, finals_only)
        yield from self._pages(Paging(wanted, page_size=page_size))

    def page(self, paging: Paging) -> list[Candle]:
        """The next page, for who wants to remember how far that was."""
        return paging.take(self.get(CANDLES_PATH, paging.parameters()))

    def pairs(self) -> list[KnownSeries]:
        """Every series: ``exchange``, ``pair``, ``interval``, ``earliest`` and ``newest`` open time (or None).

        Raises:
            Unavailable: If the server does not answer.
            NotUnderstood: If what answers is not this server.
        """
        return read_pairs(self.get(PAIRS_PATH, {}))

    def _pages(self, paging: Paging) -> Iterator[Candle]:
        while not paging.done:
            yield from self.page(paging)

    def get(self, path: str, parameters: dict[str, str]) -> bytes:
        """The body of an answer, for what this client has no method for; raises as `candles` does."""
        attempts = _Attempts(self._server, self._attempts)
        while True:
            try:
                answer = self._http.get(path, params=parameters)
                pause_seconds = attempts.after_answer(answer, path)
                if pause_seconds is None:
                    return answer.content
            except httpx.HTTPError as error:
                pause_seconds = attempts.after_failure(error)
            time.sleep(pause_seconds)


class AsyncClient:
    """`Client` for asyncio.

    >>> async with AsyncClient("http://127.0.0.1:8080") as client:  # doctest: +SKIP
    ...     hours = await client.candles("BTC-USD", interval="1h", limit=24)
    """

    def __init__(self, url: str = DEFAULT_URL, *, attempts: int = ATTEMPTS) -> None:
        address = Address.parse(url, DEFAULT_URL)
        self._server, self._attempts = address.shown, attempts
        self._http = _open(httpx.AsyncClient, address)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def candles(
        self,
        pair: str,
        *,
        exchange: str | None = None,
        interval: str = "1m",
        since: Time | None = None,
        until: Time | None = None,
        limit: int | None = None,
        finals_only: bool = False,
    ) -> Candles:
        """As `Client.candles`."""
        wanted = _range(pair, exchange, interval, since, until, finals_only)
        paging = Paging(wanted) if limit is None else Paging(wanted, limit=limit, newest_first=True)
        found = [candle async for candle in self._pages(paging)]
        return Candles(found if limit is None else reversed(found))

    async def iter_candles(
        self,
        pair: str,
        *,
        exchange: str | None = None,
        interval: str = "1m",
        since: Time | None = None,
        until: Time | None = None,
        finals_only: bool = False,
        page_size: int = MAX_PAGE,
    ) -> AsyncIterator[Candle]:
        """As `Client.iter_candles`."""
        wanted = _range(pair, exchange, interval, since, until, finals_only)
        async for candle in self._pages(Paging(wanted, page_size=page_size)):
            yield candle

    async def page(self, paging: Paging) -> list[Candle]:
        """As `Client.page`."""
        return paging.take(await self.get(CANDLES_PATH, paging.parameters()))

    async def pairs(self) -> list[KnownSeries]:
        """As `Client.pairs`."""
        return read_pairs(await self.get(PAIRS_PATH, {}))

    async def _pages(self, paging: Paging) -> AsyncIterator[Candle]:
        while not paging.done:
            for candle in await self.page(paging):
                yield candle

    async def get(self, path: str, parameters: dict[str, str]) -> bytes:
        """As `Client.get`."""
        attempts = _Attempts(self._server, self._attempts)
        while True:
            try:
                answer = await self._http.get(path, params=parameters)
                pause_seconds = attempts.after_answer(answer, path)
                if pause_seconds is None:
                    return answer.content
            except httpx.HTTPError as error:
                pause_seconds = attempts.after_failure(error)
            await asyncio.sleep(pause_seconds)


def candles(
    pair: str,
    *,
    exchange: str | None = None,
    interval: str = "1m",
    since: Time | None = None,
    until: Time | None = None,
    limit: int | None = None,
    finals_only: bool = False,
    url: str = DEFAULT_URL,
) -> Candles:
    """`Client.candles` with a connection of its own.

    >>> candles("BTC-USD", interval="1h", limit=24).to_pandas()  # doctest: +SKIP
    """
    with Client(url) as client:
        return client.candles(
            pair,
            exchange=exchange,
            interval=interval,
            since=since,
            until=until,
            limit=limit,
            finals_only=finals_only,
        )


def pairs(url: str = DEFAULT_URL) -> list[KnownSeries]:
    """`Client.pairs` with a connection of its own.

    >>> [each.pair for each in pairs() if each.interval == "1m"]  # doctest: +SKIP
    """
    with Client(url) as client:
        return client.pairs()
