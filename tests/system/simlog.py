"""What the simulated exchange sent, read from its log: the truth that stored candles are compared with."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.system.stack import parse_exact

Values = tuple[Decimal, ...]
#: (pair, open time in ms) to open, high, low, close, volume.
Candles = dict[tuple[str, int], Values]


def frames(log: Path) -> Iterator[dict[str, Any]]:
    """Every frame with its time and connection, in the order of sending; a half-written last line is left out."""
    with log.open("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                yield parse_exact(line)


def updates(log: Path, dialect: str) -> Iterator[tuple[str, int, Values]]:
    """Every candle sent in one dialect: pair, open time, values."""
    translate = {"blockchain": _blockchain, "kraken": _kraken}[dialect]
    for line in frames(log):
        if line["exchange"] == dialect:
            yield from translate(line["frame"])


def closed_candles(log: Path, dialect: str) -> Candles:
    """The last values sent of each candle after which a newer one of its pair was sent."""
    last: Candles = {}
    newest: dict[str, int] = {}
    for pair, open_time, values in updates(log, dialect):
        last[pair, open_time] = values
        newest[pair] = max(newest.get(pair, 0), open_time)
    return {key: values for key, values in last.items() if key[1] < newest[key[0]]}


def _blockchain(frame: dict[str, Any]) -> Iterator[tuple[str, int, Values]]:
    if frame.get("channel") == "prices" and frame["event"] == "updated":
        open_time, *values = frame["price"]
        yield frame["symbol"], open_time, tuple(Decimal(value) for value in values)


def _kraken(frame: dict[str, Any]) -> Iterator[tuple[str, int, Values]]:
    if frame.get("channel") == "ohlc":
        for row in frame["data"]:
            begin = datetime.fromisoformat(row["interval_begin"][:19] + "+00:00")
            values = tuple(Decimal(row[name]) for name in ("open", "high", "low", "close", "volume"))
            yield row["symbol"].replace("/", "-"), int(begin.timestamp()) * 1000, values
