"""Versions of candles and windows for the tests of what a process holds."""

from decimal import Decimal

from ingest.candle import Candle, Interval, Series, State
from tests.conftest import make_candle, minute
from workers.live import Window

BTC = Series("sim", "BTC-USD", Interval.M1)


def version(number: int, change: int = 1, *, state: State = State.OPEN) -> Candle:
    """The numbered minute in its numbered version; each version has another volume."""
    written_us = minute(number) * 1000 + change
    return make_candle(number, state=state, written_us=written_us, volume=Decimal(change))


def window(seq: int, *numbered: tuple[int, Candle], epoch: str = "a", floor: int = 0) -> Window:
    """A window of candles, each with the number of its last change."""
    return Window(epoch, seq, floor, list(numbered))
