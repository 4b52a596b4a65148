"""When a candle is open, provisional, final or corrected, and why. Pure: updates in, versions out.

One tracker per series turns what an exchange says into versions of candles, in the order they must be published.
Its rules:

* A live update of the newest candle leaves it ``open``. An unchanged one is not sent again.
* The exchange's own flag, or a row of its history, makes a candle ``final``.
* A newer open time closes every older candle: ``final`` when the older one's last update and its successor came on
  the same connection with no frame missed between, since then nothing in between can have been overlooked; else
  ``provisional``. A successor from history proves nothing: the live stream may still be behind it.
* The rank never falls. What comes after ``provisional`` is ``provisional`` until a proof makes it ``final``; what comes
  after ``final`` is ``corrected`` if a value differs, and nothing otherwise.
* An older update never re-opens or replaces the running candle; it concerns its own candle alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from ingest.candle import Candle, Series, State
from ingest.exchanges.base import CandleUpdate, Origin
from ingest.revision import HybridClock

#: Candles remembered per series. Exchanges send again what is at most a few minutes old.
KEPT_CANDLES: Final = 60

#: The connection number of what an earlier process wrote: no connection has it, so it proves nothing.
EARLIER_PROCESS: Final = 0

Values = tuple[Decimal, Decimal, Decimal, Decimal, Decimal]


@dataclass(slots=True)
class _Held:
    values: Values
    state: State
    connection: int


def next_state(held: State | None, *, proven: bool, superseded: bool, differs: bool) -> State | None:
    """The state in which a candle goes out after an update, None when there is nothing to send.

    Args:
        held: The state last sent, None for a candle not seen before.
        proven: Whether the update carries the exchange's flag or comes from history.
        superseded: Whether the series already has a newer candle.
        differs: Whether a value differs from the one last sent.
    """
    if held in (State.FINAL, State.CORRECTED):
        return State.CORRECTED if differs else None
    if proven:
        return State.FINAL
    state = State.PROVISIONAL if superseded or held is State.PROVISIONAL else State.OPEN
    return None if held is state and not differs else state


class SeriesTracker:
    """The newest candles of one series, as far as they have been sent.

    Remembers `KEPT_CANDLES` of them. An update at or below the newest forgotten open time is not sent, because its
    rank is no longer known and might fall; ask `forgets` to count such updates.
    """

    def __init__(self, series: Series, revisions: HybridClock, kept: int = KEPT_CANDLES) -> None:
        self._series, self._revisions, self._kept = series, revisions, kept
        self._held: dict[int, _Held] = {}
        self._newest = -1
        self._forgotten = -1

    def load(self, candles: Iterable[Candle]) -> list[Candle]:
        """Start from the newest versions an earlier process wrote; return what has to be sent for it.

        That is each candle which was left open although its series went on: ``provisional``, since nobody saw
        whether its last update came. The newest one stays open until its successor comes.
        """
        for candle in sorted(candles, key=lambda each: each.timestamp):
            self._hold(candle.timestamp, _Held(candle.values, candle.state, EARLIER_PROCESS))
        return self._close_older_than(self._newest, proving=None)

    def forgets(self, timestamp: int) -> bool:
        """Whether this open time is at or below one that fell out of memory."""
        return timestamp <= self._forgotten

    def apply(self, update: CandleUpdate, connection: int) -> list[Candle]:
        """Return the versions that follow from ``update``, oldest candle first.

        Args:
            update: What the exchange said.
            connection: A number, above `EARLIER_PROCESS`, that changes with each connection and each missed frame.
        """
        timestamp = update.timestamp
        if timestamp <= self._forgotten:
            return []
        versions: list[Candle] = []
        if timestamp > self._newest:
            versions = self._close_older_than(timestamp, connection if update.origin is Origin.LIVE else None)
        values = (update.open, update.high, update.low, update.close, update.volume)
        held = self._held.get(timestamp)
        state = next_state(
            held.state if held else None,
            proven=update.closed is True or update.origin is Origin.HISTORY,
            superseded=timestamp < self._newest,
            differs=held is None or held.values != values,
        )
        if state is not None:
            versions.append(self._version(timestamp, values, state))
        if held is None:
            assert state is not None  # a candle not seen before always differs
            self._hold(timestamp, _Held(values, state, connection))
        else:
            # Also when nothing is sent: that the values still hold was seen on this connection.
            held.values, held.state, held.connection = values, state or held.state, connection
        return versions

    def _close_older_than(self, timestamp: int, proving: int | None) -> list[Candle]:
        versions = []
        for open_time in sorted(self._held):
            held = self._held[open_time]
            if open_time < timestamp and not held.state.is_closed:
                held.state = State.FINAL if held.connection == proving else State.PROVISIONAL
                versions.append(self._version(open_time, held.values, held.state))
        return versions

    def _hold(self, timestamp: int, held: _Held) -> None:
        self._held[timestamp] = held
        self._newest = max(self._newest, timestamp)
        if len(self._held) > self._kept:
            self._forgotten = min(self._held)
            del self._held[self._forgotten]

    def _version(self, timestamp: int, values: Values, state: State) -> Candle:
        return Candle(*self._series, timestamp, *values, state, self._revisions.next_rev(state.rank))
