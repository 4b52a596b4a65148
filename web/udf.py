"""TradingView's UDF protocol: what its charts ask a server for, and our answers. No store, no HTTP.

What the charts hold for certain, and what therefore holds here: times are Unix **seconds**; bars are ascending and
unique; ``to`` is exclusive; no bar opens after now; ``countback`` outranks ``from``; ``no_data`` without ``nextTime``
means that nothing older exists, and ends scrolling.

Source: TradingView, Advanced Charts documentation, "UDF" and "Datafeed API"; the requests and how answers are read from
``datafeeds/udf`` of the library (``udf-compatible-datafeed-base.ts``, ``history-provider.ts``, ``requester.ts``), which
reads the body whatever the status is.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Final, Literal, NamedTuple

from msgspec import UNSET, Meta, Struct, UnsetType

from ingest.candle import Candle, Interval, Series
from web.answers import Price, Volume
from web.parameters import MAX_INTEGER, Choice, Integer, Parameter, Text, Values, read

#: The one list of what charts may ask for: UDF's name of a resolution → our interval.
RESOLUTIONS: Final[Mapping[str, Interval]] = {
    "1": Interval.M1,
    "5": Interval.M5,
    "15": Interval.M15,
    "30": Interval.M30,
    "60": Interval.H1,
    "240": Interval.H4,
    "1D": Interval.D1,
}
#: As they may be spelled: older versions of the library ask for days in this way.
_SPELLED: Final[Mapping[str, Interval]] = {**RESOLUTIONS, "D": Interval.D1}
#: Bars in one answer; a chart that wants more asks for the rest.
MAX_BARS: Final = 10_000
#: Names in one answer of a search.
MAX_FOUND: Final = 1000
#: How many of the newest candles say how many decimals a price has.
SAMPLE: Final = 60
#: Decimals of a pair that has no candles yet.
_DECIMALS: Final = 2
#: 10^15 is the largest power of ten that JavaScript holds exactly; TradingView's formats end there, too.
_MOST_DECIMALS: Final = 15

_KIND: Final = "crypto"

Seconds = Annotated[int, Meta(description="Unix seconds UTC.", ge=0, examples=[1_606_166_220])]


class UdfExchange(Struct):
    """A choice in the search dialogue; ``value`` comes back as ``exchange``."""

    value: str
    name: str
    desc: str


class UdfSymbolType(Struct):
    """A choice in the search dialogue; ``value`` comes back as ``type``."""

    name: str
    value: str


class UdfConfig(Struct):
    """The answer of ``/udf/config``: what this server can do."""

    supported_resolutions: list[str]
    exchanges: list[UdfExchange]
    symbols_types: list[UdfSymbolType]
    supports_search: bool = True
    supports_group_request: bool = False
    supports_marks: bool = False
    supports_timescale_marks: bool = False
    supports_time: bool = True


class UdfFound(Struct):
    """An element of the answer of ``/udf/search``."""

    symbol: str
    full_name: str
    description: str
    exchange: str
    ticker: str
    type: str = _KIND


class UdfSymbol(Struct):
    """The answer of ``/udf/symbols``: how to draw a pair, in the terms of TradingView's ``LibrarySymbolInfo``."""

    name: str
    ticker: str
    description: str
    exchange: str
    listed_exchange: str
    pricescale: Annotated[int, Meta(description="10 to the number of decimals of a price.", ge=1, le=10**15)]
    volume_precision: Annotated[int, Meta(ge=0, le=_MOST_DECIMALS)]
    supported_resolutions: list[str]
    intraday_multipliers: list[str]
    has_daily: bool
    type: str = _KIND
    session: str = "24x7"
    timezone: str = "Etc/UTC"
    format: str = "price"
    minmov: int = 1
    has_intraday: bool = True
    has_weekly_and_monthly: bool = False
    visible_plots_set: str = "ohlcv"
    data_status: str = "streaming"


class UdfBars(Struct):
    """Bars: arrays of one length, ``t`` ascending; the last bar is normally still open. The protocol's names."""

    t: list[Seconds]
    o: list[Price]
    h: list[Price]
    l: list[Price]  # noqa: E741
    c: list[Price]
    v: list[Volume]
    s: Literal["ok"] = "ok"


class UdfNoData(Struct):
    """No bar in the range; ``nextTime`` is the newest one before it, absent if nothing older exists."""

    nextTime: Seconds | UnsetType = UNSET
    s: Literal["no_data"] = "no_data"


SYMBOL = Text(
    "symbol",
    "As search gives it: exchange:BASE-QUOTE in any case; without an exchange the default one is meant.",
    pattern="^([A-Za-z0-9]{1,20}:)?[A-Za-z0-9]{1,20}-[A-Za-z0-9]{1,20}$",
    wanted="exchange:BASE-QUOTE, for example sim:BTC-USD",
    required=True,
    example="sim:BTC-USD",
)
SYMBOLS_PARAMETERS: Final[tuple[Parameter, ...]] = (SYMBOL,)
SEARCH_PARAMETERS: Final[tuple[Parameter, ...]] = (
    Parameter("query", "Part of a name or description, in any case.", default="", example="BTC"),
    Parameter("type", "`crypto`, or nothing for every type.", default=""),
    Parameter("exchange", "One of the values of /udf/config, or nothing for every exchange.", default=""),
    Integer("limit", "At most so many.", low=1, high=MAX_FOUND, default=30),
)
HISTORY_PARAMETERS: Final[tuple[Parameter, ...]] = (
    SYMBOL,
    Choice(
        "resolution",
        "Minutes of a bar; `1D` or `D`: a day, from midnight UTC.",
        options=tuple(_SPELLED),
        required=True,
        example="1",
    ),
    # Charts that are zoomed out ask for times before 1970.
    Integer(
        "from",
        "Unix seconds, inclusive; without meaning beside `countback`.",
        low=-MAX_INTEGER,
        high=MAX_INTEGER,
        default=0,
    ),
    Integer(
        "to",
        "Unix seconds, exclusive; may lie in the future.",
        low=-MAX_INTEGER,
        high=MAX_INTEGER,
        required=True,
        example=1_606_170_000,
    ),
    Integer(
        "countback",
        f"So many bars before `to`, however far back they reach; at most {MAX_BARS} come in one answer.",
        low=1,
        high=MAX_INTEGER,
        example=300,
    ),
)


class HistoryQuery(NamedTuple):
    """Which bars a chart asks for: open times in Unix milliseconds, both inclusive; None: from the first."""

    series: Series
    since_ms: int | None
    until_ms: int
    limit: int


def parse_history(values: Values, default_exchange: str, now_ms: int) -> HistoryQuery:
    """Read the parameters of ``/udf/history``.

    Raises:
        BadParameters: If any is repeated, missing or not what was expected.
    """
    given = read(values, HISTORY_PARAMETERS)
    exchange, pair = split_symbol(given["symbol"], default_exchange)
    countback: int | None = given["countback"]
    return HistoryQuery(
        Series(exchange, pair, _SPELLED[given["resolution"]]),
        given["from"] * 1000 if countback is None else None,
        # A bar from the future would never be replaced on screen: charts only ever move forward.
        min(given["to"] * 1000 - 1, now_ms),
        MAX_BARS if countback is None else min(countback, MAX_BARS),
    )


def split_symbol(symbol: str, default_exchange: str) -> tuple[str, str]:
    """Exchange and pair; charts spell symbols in upper case, exchanges are in lower case here."""
    exchange, _, pair = symbol.rpartition(":")
    return exchange.lower() or default_exchange, pair.upper()


def parse_symbol(values: Values, default_exchange: str) -> tuple[str, str]:
    """Read the parameters of ``/udf/symbols``: exchange and pair; raises `BadParameters`."""
    return split_symbol(read(values, SYMBOLS_PARAMETERS)["symbol"], default_exchange)


def config(exchanges: Iterable[str]) -> UdfConfig:
    """What the server can do, for charts of these exchanges."""
    return UdfConfig(
        list(RESOLUTIONS),
        [UdfExchange("", "All exchanges", ""), *(UdfExchange(name, name, name) for name in exchanges)],
        [UdfSymbolType("All types", ""), UdfSymbolType("Crypto", _KIND)],
    )


def search(values: Values, known: Iterable[Series]) -> list[UdfFound]:
    """The known pairs that a search finds, those whose name begins with it first; raises `BadParameters`."""
    given = read(values, SEARCH_PARAMETERS)
    if given["type"].lower() not in ("", _KIND):
        return []
    query, exchange = given["query"].strip().upper(), given["exchange"].lower()
    names = sorted({(series.exchange, series.pair) for series in known if exchange in ("", series.exchange)})
    found = [name for name in names if query in _haystack(*name)]
    found.sort(key=lambda name: not _haystack(*name).startswith(query))
    return [
        UdfFound(pair, f"{exchange}:{pair}", _description(exchange, pair), exchange, f"{exchange}:{pair}")
        for exchange, pair in found[: given["limit"]]
    ]


def symbol(exchange: str, pair: str, newest: Sequence[Candle]) -> UdfSymbol:
    """How to draw a pair whose newest candles are these; as many decimals as they have."""
    prices = [price for candle in newest for price in (candle.open, candle.high, candle.low, candle.close)]
    return UdfSymbol(
        name=pair,
        ticker=f"{exchange}:{pair}",
        description=_description(exchange, pair),
        exchange=exchange,
        listed_exchange=exchange,
        pricescale=10 ** (_decimals(prices) if prices else _DECIMALS),
        volume_precision=_decimals([candle.volume for candle in newest]),
        supported_resolutions=list(RESOLUTIONS),
        intraday_multipliers=[name for name in RESOLUTIONS if name.isdigit()],
        has_daily=True,
    )


def bars(ascending: Sequence[Candle]) -> UdfBars:
    """Candles as columns."""
    return UdfBars(
        [candle.timestamp // 1000 for candle in ascending],
        [candle.open for candle in ascending],
        [candle.high for candle in ascending],
        [candle.low for candle in ascending],
        [candle.close for candle in ascending],
        [candle.volume for candle in ascending],
    )


def no_data(older: Sequence[Candle]) -> UdfNoData:
    """Nothing in the range; ``older``: the newest candle before it, if there is one."""
    return UdfNoData(older[0].timestamp // 1000) if older else UdfNoData()


def _haystack(exchange: str, pair: str) -> str:
    # What people type: BTC-USD, BTCUSD, BTC/USD, sim:BTC-USD.
    base, _, quote = pair.partition("-")
    return f"{pair} {base}{quote} {base}/{quote} {exchange.upper()}:{pair}"


def _description(exchange: str, pair: str) -> str:
    return f"{pair.replace('-', ' / ')}, {exchange}"


def _decimals(values: Iterable[Decimal]) -> int:
    exponents = [value.normalize().as_tuple().exponent for value in values]
    most = max((-exponent for exponent in exponents if isinstance(exponent, int)), default=0)
    return min(max(most, 0), _MOST_DECIMALS)
