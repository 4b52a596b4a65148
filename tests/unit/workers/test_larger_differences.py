"""What is said of larger candles that are, are not, or need not be yet what is stored below them."""

from collections.abc import Collection, Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ingest.candle import Candle, Interval, Series, State
from ingest.revision import EPOCH_US, make_rev
from tests.conftest import make_candle
from workers.differences import Difference, Kind
from workers.documents import document_id, series_hash
from workers.larger_differences import READ_ORDER, Days, newest_minute
from workers.rollup import LEVELS, Bucket, is_over, next_version, open_time, roll_up

DAY_MS = 1_606_176_000_000  # 2020-11-24T00:00Z
MINUTE_MS = 60_000
HORIZON_US = EPOCH_US + 1_000_000_000
#: Versions from before and from after it.
OLD_US, YOUNG_US = HORIZON_US - 60_000_000, HORIZON_US + 1_000_000
MINUTES = Series("sim", "BTC-USD", Interval.M1)

#: By interval and open time, None where a document holds no candle.
Stored = dict[Interval, dict[int, Candle | None]]


def at(number: int, interval: Interval = Interval.M1) -> int:
    """When the candle opens that the numbered minute of the day belongs to."""
    return open_time(DAY_MS + number * MINUTE_MS, interval)


def minute(number: int, state: State = State.FINAL, written_us: int = OLD_US, **fields: Any) -> Candle:
    """The numbered minute of the day; a later one ends higher, and was written a little later."""
    values: dict[str, Any] = {"high": Decimal(20_000), "close": Decimal(18_400 + number), "volume": Decimal(1)}
    return make_candle(timestamp=at(number), state=state, written_us=written_us + number, **(values | fields))


def roll_all(stored: Stored, levels: Sequence[Interval] = tuple(LEVELS)) -> None:
    """What the bridge's jobs leave of these minutes."""
    newest = max(stored[Interval.M1])
    for interval in levels:
        below = {opens: each for opens, each in stored[LEVELS[interval]].items() if each is not None}
        for opens in {open_time(opens, interval) for opens in below}:
            bucket = Bucket(MINUTES._replace(interval=interval), opens)
            parts = [below[part] for part in bucket.part_times if part in below]
            held = stored[interval].get(opens)
            over = (held is not None and held.state.rank >= State.PROVISIONAL.rank) or is_over(bucket, parts, newest)
            computed = roll_up(bucket, parts, is_over=over)
            assert computed is not None
            stored[interval][opens] = next_version(computed, held) or held


def rolled(*minutes: Candle) -> Stored:
    """A store with these minutes and what follows."""
    stored: Stored = {interval: {} for interval in READ_ORDER}
    stored[Interval.M1] = {each.timestamp: each for each in minutes}
    roll_all(stored)
    return stored


def put(stored: Stored, *minutes: Candle) -> None:
    """Minutes that nobody has rolled up yet."""
    stored[Interval.M1] |= {each.timestamp: each for each in minutes}


def change(stored: Stored, interval: Interval, number: int, **fields: Any) -> Candle:
    """Change what is stored behind the system's back; returns what was there."""
    before = stored[interval][at(number, interval)]
    assert before is not None
    stored[interval][at(number, interval)] = replace(before, **fields)
    return before


def compare(stored: Stored) -> list[Difference]:
    """All differences, level by level."""
    return [each.difference for each in days(stored).verdicts() if each.difference is not None]


def days(stored: Stored) -> Days:
    newest_ms = newest_minute(stored[Interval.M1], HORIZON_US)
    return Days(MINUTES, stored, newest_ms=newest_ms, horizon_us=HORIZON_US)


def said(stored: Stored) -> list[tuple[Kind, str, int, str]]:
    """Kind, interval, minute of the day and reason of each difference."""
    found = []
    for each in compare(stored):
        candle = each.expected or each.stored
        assert candle is not None
        assert each.document == str(document_id(series_hash(candle.series), candle.timestamp))
        assert (each.partition, each.offset) == (None, None)
        found.append((each.kind, candle.interval.value, (candle.timestamp - DAY_MS) // MINUTE_MS, each.reason))
    return found


def test_what_the_bridge_leaves_is_right() -> None:
    stored = rolled(*(minute(number) for number in range(100) if number != 17))

    verdicts = list(days(stored).verdicts())

    assert [each.difference for each in verdicts] == [None] * len(verdicts)
    assert all(each.is_explained for each in verdicts)
    assert [each.candle for each in verdicts] == [
        stored[interval][opens] for interval in LEVELS for opens in sorted(stored[interval])
    ]


def test_the_rev_may_be_any_of_the_rank_of_its_state() -> None:
    stored = rolled(*(minute(number) for number in range(5)))

    change(stored, Interval.M5, 0, rev=make_rev(State.FINAL.rank, YOUNG_US))

    assert compare(stored) == []


def test_a_missing_candle_is_named_and_those_above_it_are_not() -> None:
    stored = rolled(*(minute(number) for number in range(60)))

    expected = stored[Interval.M15].pop(at(15))

    (difference,) = compare(stored)
    assert said(stored) == [(Kind.MISSING, "15m", 15, "not in the store")]
    assert (difference.expected, difference.stored) == (expected, None)


@pytest.mark.parametrize(
    ("fields", "kind", "reason"),
    [
        ({"high": Decimal(20_001)}, Kind.ALTERED, "high is 20001, expected 20000"),
        ({"minutes": 12}, Kind.ALTERED, "minutes is 12, expected 15"),
        (
            {"state": State.PROVISIONAL},
            Kind.ALTERED,
            "state is provisional, expected final; rank of rev is 3, expected 2",
        ),
        (
            {"state": State.PROVISIONAL, "rev": make_rev(State.PROVISIONAL.rank, OLD_US + 60)},
            Kind.OLDER,
            "state is provisional, expected final",
        ),
        (
            {"state": State.CORRECTED, "rev": make_rev(State.CORRECTED.rank, OLD_US + 60)},
            Kind.ALTERED,
            "state is corrected, expected final",
        ),
        ({"rev": make_rev(State.OPEN.rank, OLD_US + 60)}, Kind.ALTERED, "rank of rev is 1, expected 3"),
        ({"pair": "BTC-EUR"}, Kind.ALTERED, "pair is BTC-EUR, expected BTC-USD"),
        ({"low": Decimal("NaN")}, Kind.ALTERED, "low is NaN, expected 18376.035"),
    ],
)
def test_an_altered_candle_is_named_and_those_above_it_are_not(fields: dict[str, Any], kind: Kind, reason: str) -> None:
    stored = rolled(*(minute(number) for number in range(60)))

    change(stored, Interval.M15, 15, **fields)

    assert said(stored) == [(kind, "15m", 15, reason)]


def test_a_document_that_holds_no_candle_is_named() -> None:
    stored = rolled(*(minute(number) for number in range(60)))

    stored[Interval.M30][at(30)] = None

    assert said(stored) == [(Kind.ALTERED, "30m", 30, "the document holds no candle")]


def test_a_candle_of_another_series_is_named_although_nothing_explains_it() -> None:
    stored = rolled(minute(0))
    stray = make_candle(timestamp=at(300), interval=Interval.M15)

    stored[Interval.M5][at(300)] = stray

    (difference,) = compare(stored)
    assert (difference.kind, difference.expected, difference.stored) == (Kind.ALTERED, None, stray)
    assert difference.reason == "the document holds another candle"


@pytest.mark.parametrize("damaged", [None, minute(2, low=Decimal("NaN")), minute(2, pair="BTC-EUR"), minute(3)])
def test_a_minute_that_cannot_be_one_is_none(damaged: Candle | None) -> None:
    stored = rolled(*(minute(number) for number in range(5) if number != 2))

    stored[Interval.M1][at(2)] = damaged

    assert compare(stored) == []


def test_of_a_correction_that_was_not_rolled_up_every_level_is_outdated() -> None:
    stored = rolled(*(minute(number) for number in range(1440)))

    put(stored, minute(70, State.CORRECTED, OLD_US + 2_000, high=Decimal(30_000)))

    reason = "high is 20000, expected 30000; state is final, expected corrected"
    opens = {"5m": 70, "15m": 60, "30m": 60, "1h": 60, "4h": 0, "1d": 0}
    assert said(stored) == [(Kind.OLDER, interval, first, reason) for interval, first in opens.items()]


@pytest.mark.parametrize("state", [State.PROVISIONAL, State.CORRECTED])
def test_a_closed_candle_may_lack_what_is_young(state: State) -> None:
    stored = rolled(*(minute(number, State.PROVISIONAL) for number in range(10)))

    put(stored, minute(2, state, YOUNG_US, high=Decimal(30_000)))

    assert compare(stored) == []


def test_a_running_candle_may_lack_what_is_young() -> None:
    stored = rolled(minute(0), minute(1, State.OPEN))

    put(stored, minute(1, State.FINAL, YOUNG_US), minute(2, State.OPEN, YOUNG_US))

    assert compare(stored) == []


def test_a_running_candle_that_lacks_what_is_old_is_outdated() -> None:
    stored = rolled(minute(0), minute(1, State.OPEN))

    put(stored, minute(1, State.FINAL, OLD_US + 9), minute(2, State.OPEN, YOUNG_US))

    reason = "close is 18401, expected 18402; volume is 2, expected 3; minutes is 2, expected 3"
    assert said(stored) == [(Kind.OLDER, interval.value, 0, reason) for interval in LEVELS]


def test_a_running_day_is_outdated_although_what_it_is_made_of_is_young() -> None:
    stored = rolled(*(minute(number) for number in range(3)))
    day = stored[Interval.D1][at(0)]

    put(stored, minute(3), minute(4, State.OPEN, YOUNG_US))
    roll_all(stored)
    stored[Interval.D1][at(0)] = day

    assert said(stored) == [
        (Kind.OLDER, "1d", 0, "close is 18402, expected 18404; volume is 3, expected 5; minutes is 3, expected 5")
    ]


def test_a_new_candle_may_be_missing_while_all_its_minutes_are_young() -> None:
    stored = rolled(*(minute(number) for number in range(5)))

    put(stored, minute(5, State.FINAL, YOUNG_US), minute(6, State.OPEN, YOUNG_US))
    young = said(stored)
    put(stored, minute(5))

    assert young == []
    assert said(stored)[0] == (Kind.MISSING, "5m", 5, "not in the store")


def test_a_candle_that_nobody_closed_is_outdated_once_old_minutes_show_that_it_is_over() -> None:
    stored = rolled(*(minute(number) for number in range(3)))

    put(stored, minute(7, State.OPEN, YOUNG_US))
    young = said(stored)
    put(stored, minute(7, State.OPEN))

    assert young == []
    assert said(stored)[0] == (Kind.OLDER, "5m", 0, "state is open, expected provisional")


def test_candles_of_minutes_that_are_no_longer_held_are_counted_and_no_difference() -> None:
    stored = rolled(*(minute(number) for number in range(15)))

    for number in range(8):
        del stored[Interval.M1][at(number)]

    verdicts = list(days(stored).verdicts())
    assert [each.difference for each in verdicts] == [None] * len(verdicts)
    unexplained = [each.candle and each.candle.timestamp for each in verdicts if not each.is_explained]
    assert unexplained == [at(0), at(5)]


def test_what_is_no_longer_explained_must_still_be_whole() -> None:
    stored = rolled(*(minute(number) for number in range(5)))
    stored[Interval.M1].clear()

    change(stored, Interval.M5, 0, rev=make_rev(State.OPEN.rank, OLD_US))

    assert said(stored) == [(Kind.ALTERED, "5m", 0, "rank of rev is 1, expected 3")]


def test_the_newest_minute_is_one_from_before_the_horizon() -> None:
    minutes = {at(3): minute(3), at(4): None, at(5): minute(5, written_us=YOUNG_US)}

    assert newest_minute(minutes, HORIZON_US) == at(3)
    assert newest_minute({at(5): minutes[at(5)]}, HORIZON_US) == -1


#: Versions of minutes of some hours, in the order in which they are written: number of the minute, and state.
versions = st.lists(st.tuples(st.integers(0, 300), st.sampled_from(State)), min_size=1, max_size=60)


def write(stored: Stored, written: Sequence[tuple[int, State]], old: int, runs: Collection[int]) -> list[int]:
    """Write versions, those after the first ``old`` after the horizon, and roll all up after some of them.

    Returns:
        The places of those that are held in the end, counted from 1.
    """
    places: dict[int, int] = {}
    for place, (number, state) in enumerate(written, 1):
        # No two sums of powers of two are equal.
        version = minute(number, state, HORIZON_US + (place - old) * 1_000_000 - 1000, volume=Decimal(2**place))
        held = stored[Interval.M1].get(version.timestamp)
        if held is None or held.rev < version.rev:
            put(stored, version)
            places[number] = place
        if place in runs:
            roll_all(stored)
    return sorted(places.values())


@given(versions, st.data())
def test_a_bridge_that_keeps_its_time_is_never_blamed(written: list[tuple[int, State]], data: st.DataObject) -> None:
    old = data.draw(st.integers(0, len(written)), "so many are from before the horizon")
    last = data.draw(st.integers(old, len(written)), "all is rolled up for the last time")
    runs = data.draw(st.sets(st.integers(1, max(1, last))), "all is rolled up after these") | {last}
    levels = data.draw(st.integers(0, len(LEVELS)), "so many levels are rolled up at the end")
    stored: Stored = {interval: {} for interval in READ_ORDER}
    write(stored, written, old, runs)
    roll_all(stored, list(LEVELS)[:levels])

    assert compare(stored) == []


@given(versions, st.data())
def test_what_was_not_rolled_up_in_time_is_always_noticed(
    written: list[tuple[int, State]], data: st.DataObject
) -> None:
    old = data.draw(st.integers(0, len(written)), "so many are from before the horizon")
    runs = data.draw(st.sets(st.integers(0, old)), "all is rolled up after these")
    stored: Stored = {interval: {} for interval in READ_ORDER}
    places = write(stored, written, old, runs)

    lacking = [place for place in places if max(runs, default=0) < place <= old]
    found = compare(stored)

    assert bool(lacking) == bool(found)
