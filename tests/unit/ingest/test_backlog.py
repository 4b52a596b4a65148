"""The backlog: bounded, newest version per candle, and honest about what it gives up."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ingest.backlog import CandleBacklog, CandleRecord, EventBacklog, EventRecord, Seen, merge_blindness
from ingest.events import EventKind, FeedEvent, FeedState
from ingest.marks import Marks
from tests.conftest import make_candle, minute


def record(number: int, version: int, marks: Marks[Seen] | None = None) -> CandleRecord:
    candle = make_candle(number, written_us=minute(0) * 1000 + version)
    return CandleRecord(candle, candle.series.key, (marks if marks is not None else Marks()).open())


def emptied(backlog: CandleBacklog) -> list[CandleRecord]:
    """What comes out, in order."""
    out = []
    while (first := backlog.first()) is not None:
        backlog.remove(first)
        out.append(first)
    return out


def event(kind: EventKind, **fields: Any) -> FeedEvent:
    values: dict[str, Any] = {"exchange": "sim", "event": kind, "feed": FeedState.LIVE, "since": 1, "at": 2}
    return FeedEvent(**(values | fields))


def test_keeps_only_the_newest_version_of_a_candle() -> None:
    backlog, newer = CandleBacklog(), record(0, 2)
    backlog.put(record(0, 1))
    backlog.put(newer)

    assert emptied(backlog) == [newer]


def test_a_version_never_replaces_a_newer_one() -> None:
    backlog, newer = CandleBacklog(), record(0, 2)
    backlog.put(newer)
    backlog.put(record(0, 1))

    assert emptied(backlog) == [newer]


def test_versions_leave_in_the_order_they_were_made() -> None:
    backlog = CandleBacklog()
    first, second, third = record(5, 1), record(3, 2), record(4, 3)
    for each in (second, third, first):
        backlog.put(each)

    assert emptied(backlog) == [first, second, third]


def test_a_full_backlog_gives_up_the_oldest_version() -> None:
    backlog = CandleBacklog(limit=2)
    first, second, third = record(0, 1), record(1, 2), record(2, 3)

    given_up = [backlog.put(each) for each in (first, second, third)]

    assert (given_up, emptied(backlog)) == ([None, None, first], [second, third])


def test_a_version_answers_for_the_one_it_replaced() -> None:
    backlog, marks = CandleBacklog(), Marks[Seen]()
    backlog.put(record(0, 1, marks))
    marks.place((10, ()))
    newer = record(0, 2, marks)
    backlog.put(newer)
    marks.place((20, ()))

    before = marks.reached
    newer.mark.resolve()

    assert (before, marks.reached) == (None, (20, ()))


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 30)), max_size=40), st.integers(1, 6))
def test_every_candle_put_in_comes_out_in_its_newest_version_or_is_given_up(
    puts: list[tuple[int, int]], limit: int
) -> None:
    backlog, marks = CandleBacklog(limit), Marks[Seen]()

    given_up = [lost for number, version in puts if (lost := backlog.put(record(number, version, marks)))]
    out = emptied(backlog)
    for each in given_up + out:
        each.mark.resolve()
    marks.place((1, ()))

    newest: dict[str, int] = {}
    for number, version in puts:
        newest[str(number)] = max(version, newest.get(str(number), -1))
    told = {str((each.candle.timestamp - minute(0)) // 60_000) for each in given_up + out}
    assert told == set(newest)
    assert len(out) <= limit
    assert [each.candle.rev for each in out] == sorted(each.candle.rev for each in out)
    assert marks.reached == (1, ())


def test_events_wait_in_order() -> None:
    backlog = EventBacklog()
    records = [EventRecord(event(EventKind.CONNECTED), None), EventRecord(event(EventKind.DISCONNECTED), None)]
    for each in records:
        backlog.put(each)

    first = backlog.first()
    backlog.remove_first()

    assert (first, backlog.first(), len(backlog)) == (records[0], records[1], 1)


def test_one_gap_covers_gaps_and_losses() -> None:
    merged = merge_blindness(
        [
            event(EventKind.GAP, pairs=("ETH-USD",), gap_from=minute(3) + 5, gap_to=minute(4)),
            event(EventKind.LOST, series="sim|BTC-USD|1m", timestamp=minute(7)),
            event(EventKind.CONNECTED, pairs=("BTC-EUR",), at=9),
        ]
    )

    assert (merged.event, merged.gap_from, merged.gap_to, merged.pairs, merged.at) == (
        EventKind.GAP,
        minute(3) + 5,
        minute(8),
        ("BTC-EUR", "BTC-USD", "ETH-USD"),
        9,
    )


def test_too_many_events_of_one_exchange_become_one_gap_and_leave_the_others_alone() -> None:
    marks: Marks[Seen] = Marks()
    backlog = EventBacklog(limit=3)
    other = EventRecord(event(EventKind.CONNECTED, exchange="kraken"), marks.open())
    for number in range(2):
        lost = event(EventKind.LOST, series="sim|BTC-USD|1m", timestamp=minute(number))
        backlog.put(EventRecord(lost, marks.open()))
    backlog.put(other)
    backlog.put(EventRecord(event(EventKind.CONNECTED), marks.open()))

    waiting = []
    while (first := backlog.first()) is not None:
        waiting.append(first)
        backlog.remove_first()
    for each in waiting:
        assert each.mark is not None
        each.mark.resolve()
    marks.place((1, ()))

    assert [(each.event.exchange, each.event.event, each.event.gap_from, each.event.gap_to) for each in waiting] == [
        ("sim", EventKind.GAP, minute(0), minute(2)),
        ("kraken", EventKind.CONNECTED, None, None),
    ]
    assert marks.reached == (1, ())
