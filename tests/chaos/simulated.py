"""What the simulated exchange sent, read from its own log of frames."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from tests.chaos.evidence import CandleKey
from tests.chaos.versions import Values, parse_exact, values_of

#: The dialect in the log to our name of the exchange.
EXCHANGES: Final = {"blockchain": "sim", "kraken": "simkraken"}


@dataclass(frozen=True)
class Sent:
    """One candle in one frame."""

    key: CandleKey
    values: Values
    #: The exchange's clock showed at least this when it was sent (Unix ms).
    not_before: int


def sent(log: Path) -> Iterator[Sent]:
    """Every candle that was sent, in order; a half-written last line is left out."""
    told: dict[tuple[str, int], int] = {}
    with log.open("rb") as lines:
        for line in lines:
            if not line.endswith(b"\n"):
                return
            entry = parse_exact(line)
            exchange, frame = EXCHANGES[entry["exchange"]], entry["frame"]
            connection = (exchange, entry["connection"])
            if isinstance(frame, dict):
                told[connection] = max(told.get(connection, 0), _time(frame) or 0)
                for pair, open_time, values in _candles(frame):
                    yield Sent((exchange, pair, open_time), values, max(open_time, told[connection]))


def _time(frame: dict[str, Any]) -> int | None:
    """The exchange's clock as a frame states it, Unix ms."""
    text = frame.get("timestamp") if frame.get("channel") in ("heartbeat", "ohlc") else None
    return _unix_ms(text) if isinstance(text, str) else None


def _candles(frame: dict[str, Any]) -> Iterator[tuple[str, int, Values]]:
    if frame.get("channel") == "prices" and frame.get("event") == "updated":
        open_time, *values = frame["price"]
        yield frame["symbol"], open_time, tuple(Decimal(value) for value in values)
    if frame.get("channel") == "ohlc":
        for row in frame["data"]:
            yield row["symbol"].replace("/", "-"), _unix_ms(row["interval_begin"]), values_of(row)


def _unix_ms(text: str) -> int:
    return int(datetime.fromisoformat(text[:19] + "+00:00").timestamp()) * 1000
