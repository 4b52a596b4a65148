"""GET /api/pairs: what there is to ask for."""

import falcon
import msgspec

from web.catalogue import Catalogue
from web.params import expect_no_parameters
from web.reading import DEADLINE_SECONDS, GetStore
from web.resources.base import Resource, write_json
from workers.store import deadline


class KnownSeries(msgspec.Struct, gc=False):
    """One series; open times of its earliest and newest stored candle in Unix milliseconds, null without any."""

    exchange: str
    pair: str
    interval: str
    earliest: int | None
    newest: int | None


class Pairs(Resource):
    """Every series that is configured or stored."""

    def __init__(self, get_store: GetStore, configured: Catalogue) -> None:
        self._get_store, self._configured = get_store, configured

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with all series, ordered by exchange, pair and interval."""
        expect_no_parameters(req.params)
        store = self._get_store()
        rows = []
        with deadline(DEADLINE_SECONDS):
            for series in self._configured.with_stored(store.series()).series:
                earliest, newest = store.bounds(series) or (None, None)
                rows.append(KnownSeries(series.exchange, series.pair, series.interval.value, earliest, newest))
        write_json(resp, rows)
