"""/udf/…: TradingView's charts; the rules of the protocol are in `web.udf`.

An error is a problem document as everywhere, with the two members beside it that charts look for (`web.errors`).
"""

import falcon

from ingest.candle import Candle, Interval, Series
from ingest.clock import Clock, now_ms
from web import udf
from web.catalogue import Catalogue
from web.reading import DEADLINE_SECONDS, CandleReader, GetStore, require_known
from web.resources.base import Resource, write_json
from workers.store import deadline


class UdfConfig(Resource):
    """What this server can do.

    It asks nobody: charts that get no answer here assume a server of another kind, and stay so.
    """

    def __init__(self, configured: Catalogue) -> None:
        self._answer = udf.config(sorted({series.exchange for series in configured.series}))

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with the configuration."""
        write_json(resp, self._answer)


class UdfTime(Resource):
    """The server's time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with Unix seconds as plain text."""
        resp.content_type = falcon.MEDIA_TEXT
        resp.set_header("Cache-Control", "no-store")
        resp.text = str(now_ms(self._clock) // 1000)


class _StoreResource(Resource):
    def __init__(self, get_store: GetStore, configured: Catalogue) -> None:
        self._get_store, self._configured = get_store, configured

    def _require_known(self, store: CandleReader, exchange: str, pair: str) -> None:
        if not self._configured.knows_pair(exchange, pair):
            require_known(self._configured.with_stored(store.series()), exchange, pair)


class UdfSearch(_StoreResource):
    """Pairs by a part of their name."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with what is found among the configured and the stored pairs."""
        with deadline(DEADLINE_SECONDS):
            known = self._configured.with_stored(self._get_store().series()).series
        write_json(resp, udf.search(req.params, known))


class UdfSymbols(_StoreResource):
    """How to draw a pair."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with the description of one symbol."""
        exchange, pair = udf.parse_symbol(req.params, self._configured.default_exchange)
        store = self._get_store()
        with deadline(DEADLINE_SECONDS):
            self._require_known(store, exchange, pair)
            # What larger candles are made of has all their decimals.
            newest = store.find(Series(exchange, pair, Interval.M1), limit=udf.SAMPLE)
        write_json(resp, udf.symbol(exchange, pair, newest))


class UdfHistory(_StoreResource):
    """Bars of a pair."""

    def __init__(self, get_store: GetStore, configured: Catalogue, clock: Clock) -> None:
        super().__init__(get_store, configured)
        self._clock = clock

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with bars, or with where older ones are, or that there are none."""
        now = now_ms(self._clock)
        query = udf.parse_history(req.params, self._configured.default_exchange, now)
        store = self._get_store()
        with deadline(DEADLINE_SECONDS):
            newest_first = store.find(query.series, query.since_ms, query.until_ms, limit=query.limit)
            if newest_first:
                write_json(resp, udf.bars(newest_first[::-1]))
                return
            older: list[Candle] = []
            if query.since_ms is not None:
                older = store.find(query.series, None, min(query.since_ms - 1, query.until_ms), limit=1)
            # Having candles proves a name; only an empty answer needs the question.
            if not older:
                self._require_known(store, query.series.exchange, query.series.pair)
        write_json(resp, udf.no_data(older))
