"""GET /api/ohlcv: the candles of one pair."""

from urllib.parse import urlencode

import falcon

from web.catalogue import Catalogue
from web.formats import encode_rows
from web.params import CandleQuery, parse_candle_query
from web.reading import DEADLINE_SECONDS, GetStore, require_known
from web.resources.base import Resource, write_json_bytes
from workers.store import deadline


class Ohlcv(Resource):
    """Candles as a JSON array, newest first unless asked otherwise."""

    def __init__(self, get_store: GetStore, configured: Catalogue) -> None:
        self._get_store, self._configured = get_store, configured

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with the candles that open from ``from`` to ``to``, and where to go on if there are more."""
        query = parse_candle_query(req.params, self._configured.default_exchange)
        store = self._get_store()
        with deadline(DEADLINE_SECONDS):
            candles = store.find(
                query.series,
                query.since_ms,
                query.until_ms,
                # One more than asked for tells whether there are more.
                limit=query.limit + 1,
                newest_first=query.newest_first,
            )
            # Having candles proves a name; only an empty answer needs the question.
            if not candles:
                exchange, pair = query.series.exchange, query.series.pair
                if not self._configured.knows_pair(exchange, pair):
                    require_known(self._configured.with_stored(store.series()), exchange, pair)
        if len(candles) > query.limit:
            candles.pop()
            # Not `append_link`, which leaves out the quotes that most readers of examples expect.
            target = f"{req.path}?{_next_query(query, candles[-1].timestamp)}"
            resp.set_header("Link", f'<{target}>; rel="next"')
        write_json_bytes(resp, encode_rows(query.series, candles))


def _next_query(query: CandleQuery, last_ms: int) -> str:
    """The same question from the first candle that was not part of the answer.

    Open times are unique within a series, so what comes next is neither skipped nor repeated.
    """
    since_ms, until_ms = query.since_ms, query.until_ms
    if query.newest_first:
        until_ms = last_ms - 1
    else:
        since_ms = last_ms + 1
    exchange, pair, interval = query.series
    parameters: dict[str, str | int | None] = {
        "pair": pair,
        "exchange": exchange,
        "interval": interval.value,
        "from": since_ms,
        "to": until_ms,
        "limit": query.limit,
        "order": "desc" if query.newest_first else "asc",
    }
    return urlencode({name: value for name, value in parameters.items() if value is not None})
