"""GET /api/pairs: what there is to ask for."""

import falcon

from web.listing import KEEP_SECONDS, SeriesListing
from web.params import expect_no_parameters
from web.resources.base import Resource, write_json


class Pairs(Resource):
    """Every series that is configured or stored."""

    def __init__(self, listing: SeriesListing) -> None:
        self._listing = listing

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with all series, ordered by exchange, pair and length, as they were at most two seconds ago."""
        expect_no_parameters(req.params)
        rows, age_seconds = self._listing.read()
        # A cache subtracts the age: nobody gets a list that is older than this.
        resp.set_header("Age", str(age_seconds))
        write_json(resp, rows, cache=f"public, max-age={KEEP_SECONDS:.0f}")
