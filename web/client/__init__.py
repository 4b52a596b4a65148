"""The client: live and historical candles for Python programs, with exact decimals.

    from web.client import candles, pairs, stream

History is `candles` and `pairs`, or `Client` and `AsyncClient` for many requests; `stream` joins it to the live side
and goes on across restarts of the server. A candle is `ingest.candle.Candle`. Importing this needs no settings and no
service, and imports nothing of the workers.

What is decided stands in modules without sockets: `paging`, `session`, `versions`, `finals`. `rest`, `series` and
`live` do the talking.
"""

from ingest.candle import Candle, Interval, State
from web.answers import KnownSeries
from web.client.errors import ClientError, NotExact, NotInstalled, NotUnderstood, Refused, Unavailable
from web.client.live import stream
from web.client.rest import AsyncClient, Client, candles, pairs
from web.client.table import Candles

__all__ = [
    "AsyncClient",
    "Candle",
    "Candles",
    "Client",
    "ClientError",
    "Interval",
    "KnownSeries",
    "NotExact",
    "NotInstalled",
    "NotUnderstood",
    "Refused",
    "State",
    "Unavailable",
    "candles",
    "pairs",
    "stream",
]
