"""History over REST, sans I/O: which requests lead through a range, and what their answers hold."""

from dataclasses import dataclass
from typing import Final

import msgspec

from ingest.candle import Candle
from web.answers import KnownSeries
from web.client.errors import NotUnderstood, Refused

CANDLES_PATH: Final = "/api/candles"
PAIRS_PATH: Final = "/api/pairs"
#: Candles that the server sends at once as JSON.
MAX_PAGE: Final = 10_000


class _Page(msgspec.Struct):
    candles: list[Candle]
    next: int | None


class _Problem(msgspec.Struct):
    detail: str
    code: str = "refused"


_page_decoder = msgspec.json.Decoder(_Page)
_pairs_decoder = msgspec.json.Decoder(list[KnownSeries])
_problem_decoder = msgspec.json.Decoder(_Problem)


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Which candles are wanted; open times in Unix milliseconds, both ends inclusive, None: without a bound."""

    pair: str
    exchange: str | None = None
    interval: str = "1m"
    since_ms: int | None = None
    until_ms: int | None = None
    finals_only: bool = False

    def parameters(self) -> dict[str, str]:
        """The query of a request for it."""
        given = {
            "pair": self.pair,
            "exchange": self.exchange,
            "interval": self.interval,
            "from": self.since_ms,
            "to": self.until_ms,
            "state": "final" if self.finals_only else None,
            # Said, because a proxy might add an Accept header of its own.
            "format": "json",
        }
        return {name: str(value) for name, value in given.items() if value is not None}


class Paging:
    """The pages of a range, one after the other.

    Args:
        wanted: The range.
        limit: At most so many candles in all, None: every one.
        page_size: Candles per page, 1 to `MAX_PAGE`.
        newest_first: Begin with the newest; the candles of a page come in this order too.
        behind: Begin behind the candle that opens at this time.
    """

    def __init__(
        self,
        wanted: Range,
        *,
        limit: int | None = None,
        page_size: int = MAX_PAGE,
        newest_first: bool = False,
        behind: int | None = None,
    ) -> None:
        self._wanted, self._left, self._page_size, self._page = wanted, limit, page_size, behind
        self._order = "desc" if newest_first else "asc"
        self.done = limit == 0

    def parameters(self) -> dict[str, str]:
        """The query of the next request."""
        size = self._page_size if self._left is None else min(self._page_size, self._left)
        query = self._wanted.parameters() | {"order": self._order, "limit": str(size)}
        return query if self._page is None else query | {"page": str(self._page)}

    def take(self, body: bytes) -> list[Candle]:
        """The candles of the answer to that request.

        Raises:
            NotUnderstood: If it is no page of candles.
        """
        try:
            page = _page_decoder.decode(body)
        except msgspec.DecodeError as error:
            raise NotUnderstood(CANDLES_PATH, str(error)) from error
        self._page = page.next
        if self._left is not None:
            self._left -= len(page.candles)
        self.done = page.next is None or self._left == 0
        return page.candles


def read_pairs(body: bytes) -> list[KnownSeries]:
    """The series of an answer of ``/api/pairs``.

    Raises:
        NotUnderstood: If it is none.
    """
    try:
        return _pairs_decoder.decode(body)
    except msgspec.DecodeError as error:
        raise NotUnderstood(PAIRS_PATH, str(error)) from error


def refusal(status: int, path: str, body: bytes) -> Refused | NotUnderstood:
    """The error for an answer that says no."""
    try:
        problem = _problem_decoder.decode(body)
    except msgspec.DecodeError:
        return NotUnderstood(path, f"status {status} without a reason")
    return Refused(problem.code, problem.detail)
