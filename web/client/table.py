"""What a request for history gives: a list of candles that becomes a pandas or polars frame when asked to."""

from decimal import MAX_PREC, Context, Decimal
from typing import TYPE_CHECKING, Any, Final

from ingest.candle import Candle
from web.client.errors import NotExact, NotInstalled

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped]
    import polars

_NUMBERS: Final = ("open", "high", "low", "close", "volume")
#: The decimals that an Arrow column holds: 20 digits before the point and 18 behind it.
_PRECISION: Final = 38
_SCALE: Final = 18


class Candles(list[Candle]):
    """Candles of one series in ascending order of open time.

    >>> frame = candles("BTC-USD", interval="1h", limit=24).to_pandas()  # doctest: +SKIP
    """

    def to_pandas(self, *, exact: bool = False) -> "pandas.DataFrame":
        """A pandas frame with the open time (UTC) as index and open, high, low, close, volume, state, rev, minutes.

        Args:
            exact: Numbers as `decimal.Decimal` objects, with all digits, rather than as 64-bit floats.

        Raises:
            NotInstalled: If pandas is missing.
        """
        try:
            import pandas
        except ModuleNotFoundError:
            raise NotInstalled("to_pandas", "pandas") from None
        frame = pandas.DataFrame(self._columns(exact))
        index = pandas.to_datetime([each.timestamp for each in self], unit="ms", utc=True)
        return frame.set_index(pandas.DatetimeIndex(index, name="timestamp"))

    def to_polars(self, *, exact: bool = False) -> "polars.DataFrame":
        """A polars frame with the columns timestamp (UTC), open, high, low, close, volume, state, rev, minutes.

        Args:
            exact: Numbers as ``Decimal(38, 18)`` rather than as 64-bit floats.

        Raises:
            NotInstalled: If polars is missing.
            NotExact: If a number has more than 20 digits before the point or 18 behind it, and ``exact`` is set.
        """
        try:
            import polars
        except ModuleNotFoundError:
            raise NotInstalled("to_polars", "polars") from None
        if exact:
            self._check_digits()
        number = polars.Decimal(_PRECISION, _SCALE) if exact else polars.Float64()
        times = polars.Series("timestamp", [each.timestamp for each in self], polars.Int64)
        types = dict.fromkeys(_NUMBERS, number) | {"state": polars.String(), "rev": polars.Int64()}
        columns = [
            polars.Series(name, values, types.get(name, polars.Int64()))
            for name, values in self._columns(exact).items()
        ]
        return polars.DataFrame([times.cast(polars.Datetime("ms", "UTC")), *columns])

    def _check_digits(self) -> None:
        # polars rounds without a word.
        for value in (getattr(each, name) for each in self for name in _NUMBERS):
            shortest = value.normalize(Context(prec=MAX_PREC))
            if shortest.adjusted() >= _PRECISION - _SCALE or int(shortest.as_tuple().exponent) < -_SCALE:
                expected = f"at most {_PRECISION - _SCALE} digits before the point and {_SCALE} behind it"
                raise NotExact("to_polars(exact=True)", value, expected)

    def _columns(self, exact: bool) -> dict[str, list[Any]]:
        def number(value: Decimal) -> Decimal | float:
            return value if exact else float(value)

        numbers = {name: [number(getattr(each, name)) for each in self] for name in _NUMBERS}
        return numbers | {
            "state": [each.state.value for each in self],
            "rev": [each.rev for each in self],
            "minutes": [each.minutes for each in self],
        }
