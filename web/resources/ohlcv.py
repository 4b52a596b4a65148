"""GET /api/ohlcv: the candles of one pair; and what every answer with candles has in common."""

from abc import abstractmethod
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final
from urllib.parse import urlencode

import falcon

from ingest.candle import State
from web import arrow
from web.catalogue import Catalogue
from web.formats import OHLCV, STREAMED, Format, Shape, content_type
from web.parameters import Parameter
from web.params import MAX_LIMIT, OHLCV_PARAMETERS, CandleQuery, parse_candle_query
from web.reading import PART_ROWS, GetStore, Page, read_page, read_parts
from web.resources.base import Resource, holds

#: Any answer that may still change: kept by nobody without asking again.
NO_CACHE: Final = "no-cache"
#: Final candles change by corrections, which are rare; a cache may be behind one by so many seconds.
CACHE_FINAL: Final = "public, max-age=60"

_FINAL: Final = frozenset({State.FINAL.value, State.CORRECTED.value})


class CandleResource(Resource):
    """Candles of one pair in a format of the client's choice."""

    shape: Shape
    parameters: Sequence[Parameter]

    def __init__(self, get_store: GetStore, configured: Catalogue) -> None:
        self._get_store, self._configured = get_store, configured

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with the candles that open from ``from`` to ``to``, and where to go on if there are more."""
        query = parse_candle_query(
            req.params, self._configured.default_exchange, self.parameters, req.get_header("Accept") or ""
        )
        if query.format is Format.ARROW:
            arrow.load()
        resp.content_type = content_type(query.format)
        if "format" not in req.params:
            resp.append_header("Vary", "Accept")
        if query.format in STREAMED:
            exchange, pair, interval = query.series
            name = f"{exchange}-{pair}-{interval}.{query.format}"
            resp.set_header("Content-Disposition", f'attachment; filename="{name}"')
        store = self._get_store()
        if query.limit > MAX_LIMIT:
            first = read_page(store, self._configured, query, PART_ROWS)
            resp.set_header("Cache-Control", NO_CACHE)
            resp.stream = self.shape.writers[query.format](query.series, read_parts(store, query, first))
            return
        self._write_page(req, resp, query, read_page(store, self._configured, query, query.limit))

    @abstractmethod
    def encode(self, query: CandleQuery, page: Page) -> bytes:
        """The body of an answer that fits into memory."""

    def _write_page(self, req: falcon.Request, resp: falcon.Response, query: CandleQuery, page: Page) -> None:
        if page.follows:
            # Not `append_link`, which leaves out the quotes that most readers of examples expect.
            resp.set_header("Link", f'<{req.path}?{_next_query(query, page.rows[-1][0])}>; rel="next"')
        body = self.encode(query, page)
        resp.set_header("Cache-Control", CACHE_FINAL if _is_settled(query, page) else NO_CACHE)
        if _is_final(page):
            tag = blake2b(body, digest_size=16).hexdigest()
            resp.etag = tag
            if holds(req, tag):
                resp.status = falcon.HTTP_304
                # It describes a body.
                resp.delete_header("Content-Type")
                return
        resp.data = body


class Ohlcv(CandleResource):
    """Open, high, low, close and volume; a JSON array, newest first, unless asked otherwise."""

    shape = OHLCV
    parameters = OHLCV_PARAMETERS

    def encode(self, query: CandleQuery, page: Page) -> bytes:
        """The rows; those of CCXT ascend, whichever side they were counted from."""
        rows = page.rows
        if query.format is Format.CCXT and query.newest_first:
            rows = rows[::-1]
        return b"".join(self.shape.writers[query.format](query.series, [rows]))


def _is_final(page: Page) -> bool:
    """Whether every candle of the page is final, and there is one."""
    return bool(page.rows) and _FINAL.issuperset({row[6] for row in page.rows})


def _is_settled(query: CandleQuery, page: Page) -> bool:
    """Whether, besides, no later candle belongs into the answer: it is full, or reaches its last open time."""
    if not _is_final(page):
        return False
    if not query.newest_first and page.follows:
        return True
    newest_ms = max(page.rows[0][0], page.rows[-1][0])
    ends_ms = query.ends_ms
    return ends_ms is not None and newest_ms + query.series.interval.milliseconds > ends_ms


def _next_query(query: CandleQuery, last_ms: int) -> str:
    """The same question, going on behind the last candle of the answer.

    Open times are unique within a series, so what comes next is neither skipped nor repeated.
    """
    exchange, pair, interval = query.series
    ccxt_default = query.format is Format.CCXT and (query.newest_first or query.since_ms is not None)
    parameters: dict[str, str | int | None] = {
        "pair": pair,
        "exchange": exchange,
        "interval": interval.value,
        "from": query.since_ms,
        "to": query.until_ms,
        "limit": query.limit,
        "order": None if ccxt_default else "desc" if query.newest_first else "asc",
        "page": last_ms,
        "state": "final" if query.finals_only else None,
        "format": None if query.format is Format.JSON else query.format.value,
    }
    return urlencode({name: value for name, value in parameters.items() if value is not None})
