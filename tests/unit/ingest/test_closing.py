"""Closing: scripted sequences for each rule, and properties over any sequence."""

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ingest.candle import Candle, Interval, Series, State
from ingest.closing import SeriesTracker
from ingest.exchanges.base import CandleUpdate, Origin
from ingest.revision import HybridClock
from tests.conftest import make_candle, minute

SERIES = Series("sim", "BTC-USD", Interval.M1)


def tracker(kept: int = 60) -> SeriesTracker:
    return SeriesTracker(SERIES, HybridClock(lambda: minute(0) * 1000), kept)


def update(number: int, price: int = 100, **fields: Any) -> CandleUpdate:
    value = Decimal(price)
    return CandleUpdate("BTC-USD", Interval.M1, minute(number), value, value, value, value, Decimal(1), **fields)


def told(candles: list[Candle]) -> list[tuple[int, str, int]]:
    """Minute, state and price of each version."""
    return [((each.timestamp - minute(0)) // 60_000, each.state.value, int(each.close)) for each in candles]


def replay(subject: SeriesTracker, *steps: tuple[int, CandleUpdate]) -> list[tuple[int, str, int]]:
    """What goes out for updates, each with the number of its connection."""
    return told([candle for connection, each in steps for candle in subject.apply(each, connection)])


def test_sends_the_running_candle_as_open() -> None:
    assert replay(tracker(), (1, update(0, 100)), (1, update(0, 101))) == [(0, "open", 100), (0, "open", 101)]


def test_does_not_send_an_unchanged_running_candle_again() -> None:
    assert replay(tracker(), (1, update(0)), (1, update(0))) == [(0, "open", 100)]


def test_takes_equal_numbers_for_equal_however_they_are_written() -> None:
    subject = tracker()
    subject.apply(update(0), 1)

    price = Decimal("100.0")
    again = subject.apply(
        CandleUpdate("BTC-USD", Interval.M1, minute(0), price, price, price, price, Decimal("1E0")), 1
    )

    assert again == []


def test_a_successor_on_the_same_connection_makes_a_candle_final() -> None:
    sent = replay(tracker(), (1, update(0)), (1, update(1, 200)))

    assert sent == [(0, "open", 100), (0, "final", 100), (1, "open", 200)]


def test_a_successor_on_another_connection_makes_a_candle_provisional() -> None:
    sent = replay(tracker(), (1, update(0)), (2, update(1, 200)))

    assert sent == [(0, "open", 100), (0, "provisional", 100), (1, "open", 200)]


def test_an_unchanged_update_on_a_new_connection_counts_as_seen_there() -> None:
    sent = replay(tracker(), (1, update(0)), (2, update(0)), (2, update(1, 200)))

    assert sent == [(0, "open", 100), (0, "final", 100), (1, "open", 200)]


def test_a_successor_from_history_proves_nothing() -> None:
    sent = replay(tracker(), (1, update(0)), (1, update(1, 200, origin=Origin.HISTORY)))

    assert sent == [(0, "open", 100), (0, "provisional", 100), (1, "final", 200)]


def test_the_flag_of_the_exchange_makes_a_candle_final_at_once() -> None:
    sent = replay(tracker(), (1, update(0)), (1, update(0, closed=True)), (1, update(1, 200)))

    assert sent == [(0, "open", 100), (0, "final", 100), (1, "open", 200)]


def test_a_row_of_history_is_final_on_arrival_and_does_not_touch_the_running_candle() -> None:
    sent = replay(tracker(), (1, update(5)), (1, update(3, 90, origin=Origin.HISTORY)), (1, update(5, 101)))

    assert sent == [(5, "open", 100), (3, "final", 90), (5, "open", 101)]


def test_history_turns_a_provisional_candle_final() -> None:
    sent = replay(tracker(), (1, update(0)), (2, update(1)), (2, update(0, origin=Origin.HISTORY)))

    assert sent == [(0, "open", 100), (0, "provisional", 100), (1, "open", 100), (0, "final", 100)]


def test_a_late_update_of_a_provisional_candle_stays_provisional() -> None:
    sent = replay(tracker(), (1, update(0)), (2, update(1)), (2, update(0, 99)), (2, update(0, 99)))

    assert sent == [(0, "open", 100), (0, "provisional", 100), (1, "open", 100), (0, "provisional", 99)]


def test_a_late_update_of_a_final_candle_corrects_it_only_if_a_value_differs() -> None:
    sent = replay(tracker(), (1, update(0)), (1, update(1)), (1, update(0)), (1, update(0, 99)), (1, update(0, 99)))

    assert sent == [(0, "open", 100), (0, "final", 100), (1, "open", 100), (0, "corrected", 99)]


def test_an_older_candle_never_seen_before_is_provisional() -> None:
    assert replay(tracker(), (1, update(5)), (1, update(3, 90))) == [(5, "open", 100), (3, "provisional", 90)]


def test_sends_what_an_earlier_process_left_open_as_provisional_if_its_series_went_on() -> None:
    subject = tracker()

    sent = subject.load([make_candle(2), make_candle(0), make_candle(1, state=State.FINAL)])

    assert [(each.timestamp, each.state, each.values) for each in sent] == [
        (minute(0), State.PROVISIONAL, make_candle(0).values)
    ]


def test_the_newest_candle_of_an_earlier_process_is_closed_as_provisional_by_its_successor() -> None:
    subject = tracker()
    subject.load([make_candle(0)])

    sent = subject.apply(update(1), 1)

    assert [(each.timestamp, each.state) for each in sent] == [
        (minute(0), State.PROVISIONAL),
        (minute(1), State.OPEN),
    ]


def test_knows_the_rank_an_earlier_process_gave() -> None:
    subject = tracker()
    subject.load([make_candle(0, state=State.FINAL), make_candle(1)])

    assert [each.state for each in subject.apply(update(0, 7), 1)] == [State.CORRECTED]


def test_an_update_of_a_forgotten_candle_is_not_sent() -> None:
    subject = tracker(kept=2)
    for number in range(3):
        subject.apply(update(number), 1)

    sent = subject.apply(update(0, 7), 1)

    assert (sent, subject.forgets(minute(0)), subject.forgets(minute(1))) == ([], True, False)


updates = st.builds(
    update,
    st.integers(0, 8),
    st.integers(1, 3),
    closed=st.sampled_from([None, None, True, False]),
    origin=st.sampled_from([Origin.LIVE, Origin.LIVE, Origin.HISTORY]),
)
steps = st.lists(st.tuples(st.integers(0, 1), updates), max_size=60)


def run_all(
    subject: SeriesTracker, sequence: list[tuple[int, CandleUpdate]]
) -> tuple[list[Candle], dict[int, CandleUpdate]]:
    """Everything sent, and the last update of each candle that was still remembered."""
    connection, sent, last = 1, [], {}
    for reconnects, each in sequence:
        connection += reconnects
        if not subject.forgets(each.timestamp):
            last[each.timestamp] = each
        sent += subject.apply(each, connection)
    return sent, last


@given(steps, st.integers(1, 12))
def test_revisions_rise_and_ranks_never_fall_whatever_comes(
    sequence: list[tuple[int, CandleUpdate]], kept: int
) -> None:
    sent, _ = run_all(tracker(kept), sequence)

    for timestamp in {each.timestamp for each in sent}:
        versions = [each for each in sent if each.timestamp == timestamp]
        revs, ranks = [each.rev for each in versions], [each.state.rank for each in versions]
        assert revs == sorted(set(revs))
        assert ranks == sorted(ranks)


@given(steps, st.integers(1, 12))
def test_what_was_sent_last_has_the_values_that_came_last(sequence: list[tuple[int, CandleUpdate]], kept: int) -> None:
    sent, last = run_all(tracker(kept), sequence)

    assert {each.timestamp: each.values for each in sent} == {
        timestamp: (each.open, each.high, each.low, each.close, each.volume) for timestamp, each in last.items()
    }


@given(steps)
def test_only_the_newest_candle_is_ever_open(sequence: list[tuple[int, CandleUpdate]]) -> None:
    sent, _ = run_all(tracker(), sequence)

    final_state = {each.timestamp: each.state for each in sent}
    left_open = [timestamp for timestamp, state in final_state.items() if state is State.OPEN]
    assert left_open in ([], [max(final_state, default=0)])


@given(steps)
def test_no_version_repeats_the_one_before_it(sequence: list[tuple[int, CandleUpdate]]) -> None:
    sent, _ = run_all(tracker(), sequence)

    said: dict[int, tuple[object, ...]] = {}
    for each in sent:
        assert said.get(each.timestamp) != (each.state, each.values)
        said[each.timestamp] = (each.state, each.values)


@given(steps, steps)
def test_a_restart_never_lowers_a_rank(
    before: list[tuple[int, CandleUpdate]], after: list[tuple[int, CandleUpdate]]
) -> None:
    revisions = HybridClock(lambda: minute(0) * 1000)
    first, _ = run_all(SeriesTracker(SERIES, revisions), before)
    newest: dict[int, Candle] = {each.timestamp: each for each in first}
    restarted = SeriesTracker(SERIES, revisions)

    second = restarted.load(newest.values()) + run_all(restarted, after)[0]

    for each in second:
        assert each.rev > newest.get(each.timestamp, make_candle(state=State.PARTIAL, rev=0)).rev
        newest[each.timestamp] = each
