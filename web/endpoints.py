"""Every endpoint of the REST API, declared once: what it takes, what it answers, how it can fail.

The parameters are the ones that the resources read requests with, the types the ones that answers are encoded from; the
OpenAPI document, the pages about the API and the tests that ask every endpoint are made from this list.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from ingest.events import FeedEvent
from web.answers import CandlePage, CcxtRow, KnownSeries, OhlcvColumns, OhlcvRow
from web.formats import Format, content_type
from web.parameters import Parameter
from web.params import CANDLES_PARAMETERS, OHLCV_PARAMETERS
from web.resources.health import Freshness, Readiness
from web.status import ServiceStatus
from web.udf import (
    HISTORY_PARAMETERS,
    SEARCH_PARAMETERS,
    SYMBOLS_PARAMETERS,
    UdfBars,
    UdfConfig,
    UdfFound,
    UdfNoData,
    UdfSymbol,
)

Group = Literal["Pages for people", "Candles", "TradingView charts", "State of the service", "About the API"]

#: A ready-made schema, for answers that are not made of our types.
TEXT: Final[Mapping[str, Any]] = {"type": "string"}
OBJECT: Final[Mapping[str, Any]] = {"type": "object"}
#: Bytes: in OpenAPI 3.1 these are what the media type says, and have no schema.
BYTES: Final[Mapping[str, Any]] = {}

JSON: Final = "application/json"
HTML: Final = "text/html; charset=utf-8"
PLAIN: Final = "text/plain; charset=utf-8"

#: One form of an answer: a type, or a ready-made schema; several forms in one media type form a tuple.
Form = Any


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One path, which can be read with ``GET`` (and ``HEAD``, the same without the body)."""

    path: str
    group: Group
    summary: str
    #: A path and query that answers where the default exchange and pairs are followed.
    example: str
    #: Media type → form of the answer.
    answers: Mapping[str, Form]
    parameters: Sequence[Parameter] = ()
    #: Whether parameters that are not declared are refused; a resource that takes none of them does not look.
    strict: bool = True
    description: str = ""
    #: Statuses below, beside those that every endpoint may have.
    failures: Sequence[int] = ()
    #: A 503 that is not a problem document but this.
    unavailable: Form = None
    #: Whether an answer may carry an ``ETag``, and be 304 for who holds it.
    tagged: bool = False
    #: Whether ``Link`` may lead on.
    linked: bool = False
    #: Whether the rate limit counts requests.
    limited: bool = True

    def example_of(self, exchange: str, pair: str) -> str:
        """The example, for a server that follows this pair."""
        return self.example.replace("sim:", f"{exchange}:").replace("BTC-USD", pair)


def _of(form: Format) -> str:
    return content_type(form)


_CANDLES: Final = (
    "Newest first unless asked otherwise; the newest candle is normally still open. Times are open times in Unix "
    "milliseconds, both ends inclusive. When there is more than was sent, `Link` leads on."
)

ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint(
        path="/",
        group="Pages for people",
        summary="The dashboard: a live chart and an overview of all pairs.",
        description="What it shows is in the query: `exchange`, `pair`, `interval`, `theme` and `view`, for the page's "
        "script. Its modules and styles are below `/static/`.",
        example="/?pair=BTC-USD&interval=5m",
        answers={HTML: TEXT},
        strict=False,
    ),
    Endpoint(
        path="/status",
        group="Pages for people",
        summary="The state of services, stages, feeds, programs and series, as a page that keeps itself up to date.",
        example="/status",
        answers={HTML: TEXT},
        strict=False,
    ),
    Endpoint(
        path="/api/ohlcv",
        group="Candles",
        summary="Candles of one pair: open, high, low, close, volume.",
        description=_CANDLES,
        example="/api/ohlcv?pair=BTC-USD&limit=3",
        parameters=OHLCV_PARAMETERS,
        answers={
            JSON: (list[OhlcvRow], list[CcxtRow], OhlcvColumns),
            _of(Format.CSV): TEXT,
            _of(Format.NDJSON): TEXT,
            _of(Format.ARROW): BYTES,
        },
        failures=(400, 404, 406, 501, 503),
        tagged=True,
        linked=True,
    ),
    Endpoint(
        path="/api/candles",
        group="Candles",
        summary="Candles of one pair with all that is known of them.",
        description=_CANDLES + " Of two versions of a candle the one with the higher `rev` is valid. `minutes` says "
        "of how many of its minutes a candle is made.",
        example="/api/candles?pair=BTC-USD&limit=3",
        parameters=CANDLES_PARAMETERS,
        answers={
            JSON: CandlePage,
            _of(Format.CSV): TEXT,
            _of(Format.NDJSON): TEXT,
            _of(Format.ARROW): BYTES,
        },
        failures=(400, 404, 406, 501, 503),
        tagged=True,
        linked=True,
    ),
    Endpoint(
        path="/api/pairs",
        group="Candles",
        summary="Exchanges, pairs and intervals that are followed or stored, with earliest and newest open time.",
        example="/api/pairs",
        answers={JSON: list[KnownSeries]},
        failures=(400, 503),
    ),
    Endpoint(
        path="/api/feeds",
        group="Candles",
        summary="The newest event of each exchange's feed; a feed whose beats stop for 3 s is stale.",
        example="/api/feeds",
        answers={JSON: list[FeedEvent]},
        failures=(400, 503),
    ),
    Endpoint(
        path="/udf/config",
        group="TradingView charts",
        summary="What this server can do.",
        example="/udf/config",
        answers={JSON: UdfConfig},
        strict=False,
    ),
    Endpoint(
        path="/udf/symbols",
        group="TradingView charts",
        summary="How to draw a symbol.",
        example="/udf/symbols?symbol=sim:BTC-USD",
        parameters=SYMBOLS_PARAMETERS,
        answers={JSON: UdfSymbol},
        strict=False,
        failures=(400, 404, 503),
    ),
    Endpoint(
        path="/udf/search",
        group="TradingView charts",
        summary="Symbols by a part of their name.",
        example="/udf/search?query=BTC&limit=30",
        parameters=SEARCH_PARAMETERS,
        answers={JSON: list[UdfFound]},
        strict=False,
        failures=(400, 503),
    ),
    Endpoint(
        path="/udf/history",
        group="TradingView charts",
        summary="Bars of a symbol.",
        description=(
            "Times are Unix seconds; bars ascend, none opens after now. `no_data` without `nextTime` means that "
            "nothing older exists."
        ),
        example="/udf/history?symbol=sim:BTC-USD&resolution=1&to=9999999999&countback=2",
        parameters=HISTORY_PARAMETERS,
        answers={JSON: (UdfBars, UdfNoData)},
        strict=False,
        failures=(400, 404, 503),
    ),
    Endpoint(
        path="/udf/time",
        group="TradingView charts",
        summary="The server's time in Unix seconds.",
        example="/udf/time",
        answers={PLAIN: {"type": "string", "pattern": "^[0-9]+$"}},
        strict=False,
    ),
    Endpoint(
        path="/livez",
        group="State of the service",
        summary="Whether this process answers.",
        example="/livez",
        answers={PLAIN: {"type": "string", "const": "ok\n"}},
        strict=False,
        limited=False,
    ),
    Endpoint(
        path="/readyz",
        group="State of the service",
        summary="Whether the services answer that this process needs.",
        example="/readyz",
        answers={JSON: Readiness},
        strict=False,
        failures=(503,),
        unavailable=Readiness,
        limited=False,
    ),
    Endpoint(
        path="/health",
        group="State of the service",
        summary="Whether the data is fresh: every configured feed live, its newest candles young enough.",
        example="/health",
        answers={JSON: Freshness},
        strict=False,
        failures=(503,),
        unavailable=Freshness,
        limited=False,
    ),
    Endpoint(
        path="/api/status",
        group="State of the service",
        summary="Programs that run, how far each stage is behind Kafka, records that could not be taken.",
        example="/api/status",
        answers={JSON: ServiceStatus},
        failures=(400, 503),
    ),
    Endpoint(
        path="/metrics",
        group="State of the service",
        summary="Numbers for Prometheus.",
        example="/metrics",
        answers={"text/plain; version=0.0.4; charset=utf-8": TEXT},
        strict=False,
        limited=False,
    ),
    Endpoint(
        path="/api",
        group="About the API",
        summary="A page that lists what there is.",
        example="/api",
        answers={HTML: TEXT},
        failures=(400,),
    ),
    Endpoint(
        path="/docs",
        group="About the API",
        summary="Both descriptions as a page to read.",
        example="/docs",
        answers={HTML: TEXT},
        failures=(400,),
    ),
    Endpoint(
        path="/openapi.json",
        group="About the API",
        summary="This description (OpenAPI 3.1).",
        example="/openapi.json",
        answers={JSON: OBJECT},
        failures=(400,),
    ),
    Endpoint(
        path="/asyncapi.json",
        group="About the API",
        summary="The description of the WebSocket server (AsyncAPI 3).",
        example="/asyncapi.json",
        answers={JSON: OBJECT},
        failures=(400,),
    ),
)
