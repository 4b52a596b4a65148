"""GET /api/candles: the candles of one pair with all that is known of them."""

from web.formats import CANDLES, Format, encode_candle_page
from web.params import CANDLES_PARAMETERS, CandleQuery
from web.reading import Page
from web.resources.ohlcv import CandleResource


class Candles(CandleResource):
    """Candles with exchange, pair, interval, state and rev; a JSON object unless asked otherwise."""

    shape = CANDLES
    parameters = CANDLES_PARAMETERS

    def encode(self, query: CandleQuery, page: Page) -> bytes:
        """The rows, in JSON with the way on."""
        if query.format is Format.JSON:
            return encode_candle_page(query.series, page.rows, query.page, page.follows)
        return b"".join(self.shape.writers[query.format](query.series, [page.rows]))
