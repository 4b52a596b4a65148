"""What `top` shows of a pair: the newest candle, how far the day has moved it, how old and how lively it is. Pure."""

from collections import deque
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final, NamedTuple

from ingest.candle import Candle
from ingest.revision import time_ms_of

#: Over which time changes are counted (seconds).
RATE_SECONDS: Final = 10.0
_HUNDREDTH: Final = Decimal("0.01")

#: An exchange and a pair.
Key = tuple[str, str]


class Row(NamedTuple):
    """One pair; None: not known."""

    exchange: str
    pair: str
    last: Decimal | None
    #: Percent since 00:00 UTC.
    change: Decimal | None
    #: Of the newest candle.
    state: str | None
    #: Of the exchange's feed: ``live``, ``stale`` or ``down``.
    feed: str | None
    #: Since the newest version was made.
    age_seconds: float | None
    #: Changes a second.
    rate: float

    def record(self) -> dict[str, Any]:
        """The row as a JSON line has it."""
        return self._asdict()

    def cells(self) -> tuple[str, ...]:
        """The row as a table has it."""
        return (
            self.exchange,
            self.pair,
            "" if self.last is None else f"{self.last:,f}",
            "" if self.change is None else f"{self.change:+.2f} %",
            self.state or "",
            self.feed or "",
            "" if self.age_seconds is None else _age(self.age_seconds),
            f"{self.rate:.1f}/s",
        )


#: Of a table of `Row.cells`; ``>``: a number, on the right.
COLUMNS: Final = ("exchange", "pair", ">last", ">day", "state", "feed", ">age", ">changes")


class Board:
    """All pairs.

    Args:
        keys: Which exchanges and pairs, in the order of the rows.
    """

    def __init__(self, keys: Iterable[Key]) -> None:
        self._newest: dict[Key, Candle | None] = dict.fromkeys(keys)
        self._changed: dict[Key, deque[float]] = {key: deque() for key in self._newest}
        self._day_opens: dict[Key, Decimal] = {}
        self._feeds: dict[str, str] = {}

    def take(self, candle: Candle, now: float) -> None:
        """Take a version of a candle; ``now`` in monotonic seconds."""
        key = candle.exchange, candle.pair
        newest = self._newest[key]
        if newest is None or (newest.timestamp, newest.rev) <= (candle.timestamp, candle.rev):
            self._newest[key] = candle
        self._changed[key].append(now)

    def take_feed(self, exchange: str, state: str) -> None:
        """Take how an exchange's feed is."""
        self._feeds[exchange] = state

    def take_day(self, key: Key, opened: Decimal | None) -> None:
        """Take the price that the day (UTC) began with; None: it has none yet."""
        if opened is None:
            self._day_opens.pop(key, None)
        else:
            self._day_opens[key] = opened

    def rows(self, now: float, now_ms: int) -> list[Row]:
        """All rows at this moment: monotonic seconds, and Unix milliseconds."""
        return [self._row(key, now, now_ms) for key in self._newest]

    def _row(self, key: Key, now: float, now_ms: int) -> Row:
        newest, changed = self._newest[key], self._changed[key]
        while changed and changed[0] < now - RATE_SECONDS:
            changed.popleft()
        exchange, pair = key
        rate = round(len(changed) / RATE_SECONDS, 1)
        if newest is None:
            return Row(exchange, pair, None, None, None, self._feeds.get(exchange), None, rate)
        opened = self._day_opens.get(key)
        change = None if opened is None else ((newest.close / opened - 1) * 100).quantize(_HUNDREDTH)
        # The machine's clock may be behind the exchange's.
        age_seconds = max(0, now_ms - time_ms_of(newest.rev)) / 1000
        feed = self._feeds.get(exchange)
        return Row(exchange, pair, newest.close, change, newest.state.value, feed, age_seconds, rate)


def _age(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.0f} h"
