"""What the simulated exchange sent, read from its own log of frames."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from tests.chaos.evidence import CandleKey
from tests.chaos.versions import Values, parse_exact, values_of

#: A field of the frames that `tests.chaos.launch` sends as poison.
POISON: Final = "poison"
#: The dialect in the log to our name of the exchange.
EXCHANGES: Final = {"blockchain": "sim", "kraken": "simkraken"}
MINUTE_MS: Final = 60_000
#: A candle that opens later than this from now is a mistake of the exchange's.
_FAR_AHEAD_MS: Final = 24 * 60 * MINUTE_MS


@dataclass(frozen=True)
class Sent:
    """One candle in one frame."""

    key: CandleKey
    values: Values
    #: The exchange's clock showed at least this when it was sent (Unix ms).
    not_before: int


def sent(log: Path) -> Iterator[Sent]:
    """Every candle that was sent, in order; a half-written last line is left out.

    An exchange may also send what cannot be a candle, or one that nobody asked for: that is not counted.
    """
    told: dict[tuple[str, int], int] = {}
    asked: set[tuple[str, int, str]] = set()
    with log.open("rb") as lines:
        for line in lines:
            if not line.endswith(b"\n"):
                return
            entry = parse_exact(line)
            exchange, frame = EXCHANGES[entry["exchange"]], entry["frame"]
            connection = (exchange, entry["connection"])
            if not isinstance(frame, dict):
                continue
            told[connection] = max(told.get(connection, 0), _time(frame) or 0)
            if (pair := _acknowledged(frame)) is not None:
                asked.add((*connection, pair))
            for pair, open_time, values in _candles(frame):
                if (*connection, pair) in asked and _is_possible(open_time, values, entry["at"]):
                    yield Sent((exchange, pair, open_time), values, max(open_time, told[connection]))


def _acknowledged(frame: dict[str, Any]) -> str | None:
    """The pair that a frame says is followed from now on."""
    if frame.get("event") == "subscribed" and frame.get("channel") == "prices":
        return str(frame["symbol"])
    if frame.get("method") == "subscribe" and frame.get("success") and "result" in frame:
        return _pair(frame["result"]["symbol"])
    return None


def _time(frame: dict[str, Any]) -> int | None:
    """The exchange's clock as a frame states it, Unix ms."""
    text = frame.get("timestamp") if frame.get("channel") in ("heartbeat", "ohlc") else None
    return _unix_ms(text) if isinstance(text, str) else None


def _candles(frame: dict[str, Any]) -> Iterator[tuple[str, int, Values]]:
    if frame.get("channel") == "prices" and frame.get("event") == "updated":
        with suppress(KeyError, ValueError, TypeError, ArithmeticError):
            open_time, *values = frame["price"]
            yield frame["symbol"], open_time, tuple(Decimal(value) for value in values)
    if frame.get("channel") == "ohlc":
        for row in frame["data"]:
            yield _pair(row["symbol"]), _unix_ms(row["interval_begin"]), values_of(row)


def _is_possible(open_time: int, values: Values, at_ms: int) -> bool:
    open_, high, low, close, volume = values
    prices_fit = 0 < low <= min(open_, close) <= max(open_, close) <= high and volume >= 0
    return prices_fit and open_time % MINUTE_MS == 0 and open_time <= at_ms + _FAR_AHEAD_MS


def _pair(symbol: str) -> str:
    return symbol.replace("/", "-")


def _unix_ms(text: str) -> int:
    return int(datetime.fromisoformat(text[:19] + "+00:00").timestamp()) * 1000
