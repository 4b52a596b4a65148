"""What requests for candles may ask, and what each request asks: every 400 of theirs is decided here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from falcon import mediatypes

from ingest.candle import MAX_TIMESTAMP_MS, Interval, Series
from web.errors import BadParameters, Problem
from web.formats import CANDLES, MEDIA_TYPES, OHLCV, STREAMED, Format
from web.parameters import MAX_INTEGER, Choice, Integer, Parameter, Text, Values, read

#: Rows of an answer, and the number of them without ``limit``.
MAX_LIMIT: Final = 10_000
#: Rows of an answer in a format that needs no more memory for more of them.
MAX_STREAMED: Final = 1_000_000

_TIME: Final[Mapping[str, Any]] = {"low": 0, "high": MAX_INTEGER, "example": 1_606_166_220_000}


def _candle_parameters(formats: Sequence[Format]) -> tuple[Parameter, ...]:
    return (
        Text(
            "pair",
            "Which pair.",
            pattern="^[A-Z0-9]{1,20}-[A-Z0-9]{1,20}$",
            wanted="BASE-QUOTE in upper case, for example BTC-USD",
            required=True,
            example="BTC-USD",
        ),
        Integer("from", "First open time, Unix milliseconds, inclusive; without it from the first candle.", **_TIME),
        Integer("to", "Last open time, Unix milliseconds, inclusive; without it to the newest candle.", **_TIME),
        Text(
            "exchange",
            "Whose candles; without it those of the first exchange that is configured.",
            pattern="^[a-z0-9]{1,20}$",
            wanted="1 to 20 lower-case letters or digits",
            example="sim",
        ),
        Choice("interval", "How long a candle lasts.", options=[each.value for each in Interval], default="1m"),
        Integer(
            "limit",
            f"At most so many candles; {MAX_LIMIT} without it, and more than that only as csv, ndjson and arrow.",
            low=1,
            high=MAX_STREAMED,
            example=100,
        ),
        Choice("order", "Newest first (desc, the default) or oldest first.", options=["desc", "asc"]),
        Integer(
            "page",
            "Goes on behind the candle that opens at this time: the last one of the page before.",
            low=0,
            high=MAX_TIMESTAMP_MS,
        ),
        Choice("state", "Only candles that are final or corrected.", options=["final"]),
        Choice(
            "format",
            "The form of the answer; without it the Accept header decides, and without that JSON.",
            options=[each.value for each in formats],
        ),
    )


OHLCV_PARAMETERS: Final = (
    *_candle_parameters(OHLCV.formats),
    Integer("since", "The same as `from`, as CCXT calls it.", **_TIME),
)
CANDLES_PARAMETERS: Final = _candle_parameters(CANDLES.formats)


@dataclass(frozen=True, slots=True)
class CandleQuery:
    """Which candles are asked for, and how; times are open times in Unix milliseconds, both ends inclusive."""

    series: Series
    since_ms: int | None = None
    until_ms: int | None = None
    limit: int = MAX_LIMIT
    newest_first: bool = True
    #: The open time that the page before ended with; the answer goes on behind it.
    page: int | None = None
    finals_only: bool = False
    format: Format = Format.JSON

    @property
    def begins_ms(self) -> int | None:
        """The first open time that the answer may have, None: any."""
        if self.page is None or self.newest_first:
            return self.since_ms
        return max(self.since_ms or 0, self.page + 1)

    @property
    def ends_ms(self) -> int | None:
        """The last open time that the answer may have, None: any; below 0 if nothing is left."""
        if self.page is None or not self.newest_first:
            return self.until_ms
        return min(MAX_TIMESTAMP_MS if self.until_ms is None else self.until_ms, self.page - 1)


def parse_candle_query(
    values: Values,
    default_exchange: str,
    parameters: Sequence[Parameter] = OHLCV_PARAMETERS,
    accept: str = "",
) -> CandleQuery:
    """Read the parameters of a request for candles.

    Args:
        values: The query string's parameters.
        default_exchange: Whose candles are meant if the request does not say.
        parameters: What may be asked here.
        accept: The ``Accept`` header, which decides on the format where ``format`` does not.

    Raises:
        BadParameters: If any is unknown, repeated, missing or not what was expected; it names each.
    """
    given = read_known(values, parameters)
    form = Format(given["format"] or _preferred(accept, parameters))
    since_ms = given["from"] if given.get("since") is None else given["since"]
    _check_together(given, form)
    return CandleQuery(
        series=Series(given["exchange"] or default_exchange, given["pair"], Interval(given["interval"])),
        since_ms=since_ms,
        until_ms=None if given["to"] is None else min(given["to"], MAX_TIMESTAMP_MS),
        limit=given["limit"] or MAX_LIMIT,
        newest_first=(given["order"] or _default_order(form, since_ms)) == "desc",
        page=given["page"],
        finals_only=given["state"] == "final",
        format=form,
    )


def read_known(values: Values, parameters: Sequence[Parameter]) -> dict[str, Any]:
    """The value of every parameter by its name, or its default.

    Raises:
        BadParameters: If any is not declared, repeated, missing or not what was expected; it names each.
    """
    names = [parameter.name for parameter in parameters]
    expected = f"one of {', '.join(names)}" if names else "no parameters here"
    unknown = [Problem(name, _text(value), expected) for name, value in values.items() if name not in names]
    try:
        result = read(values, parameters)
    except BadParameters as error:
        raise BadParameters((*unknown, *error.problems)) from None
    if unknown:
        raise BadParameters(tuple(unknown))
    return result


def expect_no_parameters(values: Values) -> None:
    """Raise `BadParameters` if there are any."""
    read_known(values, ())


def _check_together(given: Mapping[str, Any], form: Format) -> None:
    """Raise `BadParameters` for values that are good alone and not together."""
    problems = []
    if given["limit"] is not None and given["limit"] > MAX_LIMIT and form not in STREAMED:
        problems.append(Problem("limit", str(given["limit"]), f"an integer from 1 to {MAX_LIMIT} for {form.value}"))
    if form is Format.CCXT and given["order"] == "desc":
        problems.append(Problem("order", "desc", "asc or nothing: the rows of ccxt ascend"))
    if given["from"] is not None and given.get("since") is not None:
        problems.append(Problem("since", str(given["since"]), "from or since, not both"))
    if problems:
        raise BadParameters(tuple(problems))


def _default_order(form: Format, since_ms: int | None) -> str:
    # As CCXT has it: with `since` the oldest from there, without it the newest. Which candles those are follows from
    # the order; their rows ascend in any case.
    return "asc" if form is Format.CCXT and since_ms is not None else "desc"


def _preferred(accept: str, parameters: Sequence[Parameter]) -> Format:
    """The format that an ``Accept`` header likes best; JSON if it says nothing that we can do."""
    if accept in ("", "*/*"):
        return Format.JSON
    offered = {MEDIA_TYPES[each]: each for each in _formats(parameters) if each in MEDIA_TYPES}
    try:
        return offered.get(mediatypes.best_match(offered, accept), Format.JSON)
    except ValueError:
        return Format.JSON


def _formats(parameters: Sequence[Parameter]) -> list[Format]:
    return [Format(each) for it in parameters if it.name == "format" and isinstance(it, Choice) for each in it.options]


def _text(value: str | list[str]) -> str:
    return ", ".join(value) if isinstance(value, list) else value
