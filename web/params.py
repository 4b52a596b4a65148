"""Query string to `CandleQuery`: every 400 is decided here.

Values are strings until they have passed: a repeated parameter or one like ``pair[$ne]`` never becomes a list or a
dictionary that a database could read as an operator.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ingest.candle import EXCHANGE_PATTERN, MAX_TIMESTAMP_MS, PAIR_PATTERN, Interval, Series
from web.errors import BadParameters, Problem

#: The largest integer that JavaScript holds exactly; later than any time we can store.
MAX_TIME_MS: Final = 2**53 - 1
MAX_LIMIT: Final = 10_000

_INTEGER = re.compile(r"\A[0-9]{1,16}\Z")

Values = Mapping[str, str | list[str]]


@dataclass(frozen=True, slots=True)
class CandleQuery:
    """Which candles are asked for; times are open times in Unix milliseconds, both ends inclusive."""

    series: Series
    since_ms: int | None
    until_ms: int | None
    limit: int
    newest_first: bool


class _Reader:
    """Takes parameters one by one and collects what is wrong with them."""

    def __init__(self, values: Values, accepted: tuple[str, ...]) -> None:
        self.problems: list[Problem] = []
        self._values: dict[str, str] = {}
        for name, value in values.items():
            if name not in accepted:
                expected = f"one of {', '.join(accepted)}" if accepted else "no parameters here"
                self.problems.append(Problem(name, _text(value), expected))
            elif isinstance(value, list):
                self.problems.append(Problem(name, _text(value), "the parameter once"))
            else:
                self._values[name] = value

    def text(self, name: str, pattern: re.Pattern[str], expected: str, default: str = "") -> str:
        value = self._values.get(name)
        if value is None:
            return default
        if not pattern.match(value):
            self.problems.append(Problem(name, value, expected))
        return value

    def required(self, name: str, expected: str) -> None:
        if name not in self._values and not any(problem.parameter == name for problem in self.problems):
            self.problems.append(Problem(name, "", expected))

    def integer(self, name: str, low: int, high: int) -> int | None:
        value = self._values.get(name)
        if value is None:
            return None
        # A pattern rather than int(): that accepts "1_000", " 5", "+5" and digits of other scripts.
        number = int(value) if _INTEGER.match(value) else -1
        if not low <= number <= high:
            self.problems.append(Problem(name, value, f"an integer from {low} to {high}"))
        return number

    def choice(self, name: str, options: tuple[str, ...], default: str) -> str:
        value = self._values.get(name, default)
        if value not in options:
            self.problems.append(Problem(name, value, f"one of {', '.join(options)}"))
            return default
        return value

    def finish(self) -> None:
        if self.problems:
            raise BadParameters(tuple(self.problems))


def parse_candle_query(values: Values, default_exchange: str) -> CandleQuery:
    """Read the parameters of a request for candles.

    Raises:
        BadParameters: If any is unknown, repeated, missing or not what was expected; it names each.
    """
    accepted = ("pair", "from", "to", "exchange", "interval", "limit", "order")
    reader = _Reader(values, accepted)
    expected_pair = "BASE-QUOTE in upper case, for example BTC-USD"
    reader.required("pair", expected_pair)
    pair = reader.text("pair", PAIR_PATTERN, expected_pair)
    exchange = reader.text("exchange", EXCHANGE_PATTERN, "1 to 20 lower-case letters or digits", default_exchange)
    interval = reader.choice("interval", tuple(each.value for each in Interval), Interval.M1.value)
    since_ms = reader.integer("from", 0, MAX_TIME_MS)
    until_ms = reader.integer("to", 0, MAX_TIME_MS)
    limit = reader.integer("limit", 1, MAX_LIMIT)
    newest_first = reader.choice("order", ("desc", "asc"), "desc") == "desc"
    reader.finish()
    return CandleQuery(
        series=Series(exchange, pair, Interval(interval)),
        since_ms=since_ms,
        until_ms=None if until_ms is None else min(until_ms, MAX_TIMESTAMP_MS),
        limit=MAX_LIMIT if limit is None else limit,
        newest_first=newest_first,
    )


def expect_no_parameters(values: Values) -> None:
    """Raise `BadParameters` if there are any."""
    _Reader(values, ()).finish()


def _text(value: str | list[str]) -> str:
    return ", ".join(value) if isinstance(value, list) else value
