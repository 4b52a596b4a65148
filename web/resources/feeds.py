"""GET /api/feeds: how the connections to the exchanges are."""

import falcon

from ingest.clock import Clock, now_ms
from web.feeds import FeedSource, as_known_at
from web.params import expect_no_parameters
from web.resources.base import Resource, write_json


class Feeds(Resource):
    """The newest feed event of each exchange."""

    def __init__(self, feeds: FeedSource, clock: Clock) -> None:
        self._feeds, self._clock = feeds, clock

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with one event per exchange; a feed whose beats have stopped coming is stale."""
        expect_no_parameters(req.params)
        now = now_ms(self._clock)
        write_json(resp, [as_known_at(event, now) for event in self._feeds.newest()], cache="no-store")
