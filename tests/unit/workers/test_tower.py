"""A pair's candles in memory: whatever comes, in whatever order, what is published last is what the minutes say."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.candle import Candle, Interval, Series, State
from ingest.revision import EPOCH_US, make_rev
from tests.conftest import make_candle
from workers.rollup import LEVELS, Bucket, bucket_of, is_over, roll_up
from workers.tower import Place, Tower

DAY_MS = 1_606_176_000_000  # 2020-11-24T00:00Z
MINUTE_MS = 60_000
SERIES = Series("sim", "BTC-USD", Interval.M1)


class Elsewhere:
    """What the store and the live side hold: every minute that came, and every candle that was published."""

    def __init__(self) -> None:
        self.held: dict[Place, Candle] = {}

    def keep(self, candle: Candle) -> None:
        """Move one candle forward."""
        place = candle.series, candle.timestamp
        if place not in self.held or self.held[place].rev < candle.rev:
            self.held[place] = candle

    def newest(self) -> int:
        """The newest open time of the minutes."""
        return max((time for series, time in self.held if series.interval is Interval.M1), default=-1)

    def give(self, tower: Tower) -> None:
        """Load what a tower is missing."""
        while places := tower.missing():
            times = [time for series, time in self.held if series == SERIES]
            tower.load([self.held[place] for place in places if place in self.held], times)


def minute(number: int, state: State = State.FINAL, *, step: int = 0, high: int = 0) -> Candle:
    base = Decimal(1000 + number * 7 % 60)
    values: Any = {
        "open": base,
        "high": base + 3 + high,
        "low": base - 2,
        "close": base + 1,
        "volume": Decimal(number) / 8,
    }
    rev = make_rev(state.rank, EPOCH_US + number * 60_000_000 + step)
    return make_candle(timestamp=DAY_MS + number * MINUTE_MS, state=state, **(values | {"rev": rev}))


def plainly(elsewhere: Elsewhere) -> dict[Place, tuple[object, ...]]:
    """All larger candles from nothing but the minutes."""
    level = [candle for (series, _), candle in elsewhere.held.items() if series == SERIES]
    newest = elsewhere.newest()
    found: dict[Place, tuple[object, ...]] = {}
    for interval in LEVELS:
        buckets = {bucket_of(SERIES, interval, each.timestamp) for each in level}
        computed = []
        for bucket in sorted(buckets):
            parts = [each for each in level if each.timestamp in bucket.part_times]
            rolled = roll_up(bucket, parts, is_over=is_over(bucket, parts, newest))
            assert rolled is not None
            computed.append(rolled)
            found[bucket.series, bucket.timestamp] = (rolled.values, rolled.state, rolled.minutes)
        level = computed
    return found


def published(elsewhere: Elsewhere) -> dict[Place, tuple[object, ...]]:
    return {
        place: (candle.values, candle.state, candle.minutes)
        for place, candle in elsewhere.held.items()
        if place[0].interval is not Interval.M1
    }


steps = st.lists(
    st.one_of(
        st.tuples(st.just("next"), st.integers(1, 40)),  # so many minutes later
        st.tuples(st.just("close"), st.integers(0, 3)),  # how many minutes ago, as final
        st.tuples(st.just("correct"), st.integers(0, 400)),
        st.tuples(st.just("compute"), st.just(0)),
        st.tuples(st.just("restart"), st.just(0)),
    ),
    max_size=60,
)


@given(steps)
def test_what_is_published_last_is_what_the_minutes_say(wanted: list[tuple[str, int]]) -> None:
    tower, elsewhere, number = Tower(SERIES), Elsewhere(), 700

    def take(candle: Candle) -> None:
        tower.add(candle)
        elsewhere.keep(candle)

    def compute() -> None:
        elsewhere.give(tower)
        for candle in tower.compute():
            before = elsewhere.held.get((candle.series, candle.timestamp))
            assert before is None or before.rev < candle.rev or before == candle
            elsewhere.keep(candle)

    take(minute(number, State.OPEN))
    for step, (what, count) in enumerate(wanted, 1):
        if what == "next":
            number += count
            take(minute(number, State.OPEN, step=step))
        elif what == "close":
            take(minute(max(700, number - count), State.FINAL, step=step))
        elif what == "correct":
            take(minute(max(700, number - count), State.CORRECTED, step=step, high=step))
        elif what == "compute":
            compute()
        else:
            # What was taken in and not published yet comes again: the bridge has not committed it.
            compute()
            tower = Tower(SERIES)
    compute()
    if tower.behind or not published(elsewhere):  # nothing has come since a restart
        return

    assert published(elsewhere) == plainly(elsewhere)


def test_nothing_is_computed_of_what_is_not_loaded() -> None:
    tower = Tower(SERIES)
    tower.add(minute(7))

    with pytest.raises(ValueError, match=r"sim\|BTC-USD\|5m@1606176300000 is not loaded"):
        tower.compute()

    assert len(tower.missing()) == 5 + 3 + 2 + 2 + 4 + 6 + 1  # all levels' parts, and the day itself
    assert tower.behind


def test_what_opened_while_it_watched_is_not_asked_for() -> None:
    tower, elsewhere = Tower(SERIES), Elsewhere()
    tower.add(minute(7))
    elsewhere.give(tower)
    tower.compute()

    asked = []
    for number in range(8, 300):
        tower.add(minute(number))
        asked.append({series.interval for series, _ in tower.missing()})
        elsewhere.give(tower)
        tower.compute()

    assert [number for number, intervals in enumerate(asked, 8) if intervals] == []


def test_what_the_store_had_first_is_published_all_the_same() -> None:
    first, second, elsewhere = Tower(SERIES), Tower(SERIES), Elsewhere()
    for tower in (first, second):
        tower.add(minute(7))
    elsewhere.give(first)
    stored = first.compute()
    for candle in stored:
        elsewhere.keep(candle)

    elsewhere.give(second)

    assert second.compute() == stored


def test_what_was_loaded_is_published_once() -> None:
    tower, elsewhere = Tower(SERIES), Elsewhere()
    tower.add(minute(7))
    elsewhere.give(tower)
    published = tower.compute()

    tower.add(minute(7, State.CORRECTED))  # the same values

    assert len(published) == len(LEVELS)
    assert tower.compute() == []


def test_an_older_version_changes_nothing() -> None:
    tower = Tower(SERIES)

    assert tower.add(minute(7, State.FINAL))
    assert not tower.add(minute(7, State.OPEN, step=9))


def test_memory_is_bounded() -> None:
    tower, elsewhere = Tower(SERIES), Elsewhere()

    for number in range(5000):
        tower.add(minute(number))
        elsewhere.give(tower)
        tower.compute()

    assert sum(len(candles) for candles in tower._held.values()) <= 2 * (5 + 3 + 2 + 2 + 4 + 6) + 2
    assert len(tower._loaded) <= 12


def test_a_bucket_knows_what_it_is_made_of() -> None:
    hour = Bucket(SERIES._replace(interval=Interval.H1), DAY_MS)

    assert hour.below == SERIES._replace(interval=Interval.M30)
    assert list(hour.part_times) == [DAY_MS, DAY_MS + 30 * MINUTE_MS]
    assert hour.end == DAY_MS + 60 * MINUTE_MS
