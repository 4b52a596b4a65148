"""What the REST API answers with: the one definition behind both its bytes and its description.

`web.formats` encodes these types (for long lists through a text template that msgspec makes from them), and the OpenAPI
document is generated from them. The order of the fields is the order of the keys.

A number is declared as a decimal, because that is what it is: it goes out as a JSON number with exactly the digits that
the exchange sent. Times are Unix milliseconds UTC.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Any

from msgspec import Meta, Struct, field
from msgspec.json import schema_components

from ingest.candle import MAX_TIMESTAMP_MS, Interval, State
from ingest.revision import MAX_REV

Price = Annotated[
    Decimal,
    Meta(
        description="Quote currency per base unit, exact.",
        extra_json_schema={"exclusiveMinimum": 0},
        examples=[18382.06],
    ),
]
Volume = Annotated[
    Decimal, Meta(description="Base currency, exact.", extra_json_schema={"minimum": 0}, examples=[0.002185])
]
OpenTime = Annotated[
    int,
    Meta(
        description="Open time of a candle, Unix milliseconds UTC.",
        ge=0,
        le=MAX_TIMESTAMP_MS,
        examples=[1_606_166_220_000],
    ),
]
Instant = Annotated[int, Meta(description="A moment, Unix milliseconds UTC.", ge=0, examples=[1_606_166_229_356])]
Exchange = Annotated[str, Meta(description="Name of an exchange.", pattern="^[a-z0-9]{1,20}$", examples=["sim"])]
Pair = Annotated[str, Meta(description="BASE-QUOTE.", pattern="^[A-Z0-9]{1,20}-[A-Z0-9]{1,20}$", examples=["BTC-USD"])]
Rev = Annotated[
    int,
    Meta(
        description="Version of the candle; of two versions the one with the higher rev is valid.",
        ge=0,
        le=MAX_REV,
        examples=[1_154_229_356_842_624],
    ),
]
Minutes = Annotated[
    int,
    Meta(
        description="Of how many of its minutes the candle is made: 57 in 1h says that three have no candle.",
        ge=1,
        le=Interval.D1.minutes,
        examples=[57],
    ),
]
DocumentId = Annotated[
    str,
    Meta(
        description="Id of the candle: 24 hex digits, the same for every version of it.",
        pattern="^[0-9a-f]{24}$",
        examples=["f12080219ba2160f5fbc26cc"],
    ),
]


class OhlcvRow(Struct, gc=False):
    """One element of the answer of ``/api/ohlcv``, as JSON and as NDJSON."""

    id_: DocumentId = field(name="_id")
    close: Price
    high: Price
    low: Price
    open: Price
    pair: Pair
    timestamp: OpenTime
    volume: Volume


class CcxtRow(Struct, array_like=True, gc=False):
    """One element of the answer of ``/api/ohlcv?format=ccxt``: an array, as CCXT's ``fetch_ohlcv`` returns it."""

    timestamp: OpenTime
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Volume


class OhlcvColumns(Struct, gc=False):
    """The answer of ``/api/ohlcv?format=columns``: one array per column, all of one length."""

    timestamp: list[OpenTime]
    open: list[Price]
    high: list[Price]
    low: list[Price]
    close: list[Price]
    volume: list[Volume]


class FullCandle(Struct, gc=False):
    """A candle with everything that is known of it: an element of ``/api/candles``."""

    exchange: Exchange
    pair: Pair
    interval: Interval
    timestamp: OpenTime
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Volume
    state: State
    rev: Rev
    minutes: Minutes


class CandlePage(Struct, gc=False):
    """The answer of ``/api/candles``.

    ``page`` is the parameter of that name as it was given; ``next``, given as ``page`` with an otherwise unchanged
    request, leads on, and is null when nothing follows. ``as_of`` is when the newest version among the candles was
    made, null without candles.
    """

    page: OpenTime | None
    next: OpenTime | None
    as_of: Instant | None
    candles: list[FullCandle]


class KnownSeries(Struct, gc=False):
    """One series; open times of its earliest and newest stored candle, null without any."""

    exchange: Exchange
    pair: Pair
    interval: Interval
    earliest: OpenTime | None
    newest: OpenTime | None


#: The header line of ``format=csv``, and the columns of ``format=arrow``; without and with all that is known.
OHLCV_COLUMNS = OhlcvColumns.__struct_encode_fields__
CANDLE_COLUMNS = FullCandle.__struct_encode_fields__


def schemas(types: Iterable[Any], ref_template: str) -> tuple[tuple[dict[str, Any], ...], dict[str, Any]]:
    """The JSON Schemas of these types, and of the types they are made of by name.

    msgspec describes a decimal as a string, its default form; ours are numbers.
    """
    wanted, components = schema_components(types, ref_template=ref_template)
    for schema in (*wanted, *components.values()):
        _describe_numbers(schema)
    return wanted, components


def _describe_numbers(schema: Any) -> None:
    if isinstance(schema, list):
        for each in schema:
            _describe_numbers(each)
    elif isinstance(schema, dict):
        if schema.get("format") == "decimal":
            schema |= {"type": "number"}
            del schema["format"]
        for each in schema.values():
            _describe_numbers(each)
