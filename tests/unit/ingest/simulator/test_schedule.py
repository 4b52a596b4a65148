"""What a connection is owed, in order of market time."""

from ingest.simulator.market import MINUTE_MS, candle, updates
from ingest.simulator.schedule import Due, Schedule
from tests.conftest import minute


def expected(pair: str, first: int, minutes: int) -> list[Due]:
    return [
        Due(minute(number) + update.offset_ms, pair, minute(number), update)
        for number in range(first, first + minutes)
        for update in updates(1, pair, minute(number), 12)
    ]


def drain(schedule: Schedule, until_ms: int) -> list[Due]:
    dues = []
    while due := schedule.pop(until_ms):
        dues.append(due)
    return dues


def test_follows_several_pairs_in_order_of_time() -> None:
    schedule = Schedule(1, 12)
    for pair in ("BTC-USD", "ETH-USD"):
        schedule.add(pair, minute(0), with_running=True)

    dues = drain(schedule, minute(5) - 1)

    both = expected("BTC-USD", 0, 5) + expected("ETH-USD", 0, 5)
    assert sorted(dues) == sorted(both)
    assert [due.at_ms for due in dues] == sorted(due.at_ms for due in both)


def test_nothing_comes_before_its_time() -> None:
    schedule = Schedule(1, 12)
    schedule.add("BTC-USD", minute(0), with_running=True)
    first, second, *_ = expected("BTC-USD", 0, 1)

    assert schedule.next_ms() == first.at_ms
    assert drain(schedule, first.at_ms - 1) == []
    assert drain(schedule, first.at_ms) == [first]
    assert schedule.next_ms() == second.at_ms


def test_begins_with_the_running_candle_as_it_stands() -> None:
    schedule = Schedule(1, 12)
    whole = expected("BTC-USD", 0, 1)
    schedule.add("BTC-USD", whole[5].at_ms + 1, with_running=True)

    dues = drain(schedule, minute(1) - 1)

    assert dues == [whole[5]._replace(at_ms=whole[5].at_ms + 1), *whole[6:]]


def test_without_the_running_candle_only_later_updates_come() -> None:
    schedule = Schedule(1, 12)
    whole = expected("BTC-USD", 0, 1)
    schedule.add("BTC-USD", whole[5].at_ms, with_running=False)

    assert drain(schedule, minute(1) - 1) == whole[6:]


def test_a_silent_minute_has_no_updates() -> None:
    silent = next(number for number in range(1000) if candle(1, "BTC-USD", minute(number)) is None)
    schedule = Schedule(1, 12)
    schedule.add("BTC-USD", minute(silent), with_running=True)

    assert drain(schedule, minute(silent + 1) - 1) == []
    assert schedule.next_ms() == expected("BTC-USD", silent + 1, 5)[0].at_ms


def test_a_removed_pair_is_silent_and_may_come_back() -> None:
    schedule = Schedule(1, 12)
    schedule.add("BTC-USD", minute(0), with_running=True)
    schedule.remove("BTC-USD")

    assert (schedule.next_ms(), drain(schedule, minute(9))) == (None, [])

    schedule.add("BTC-USD", minute(9), with_running=True)

    assert drain(schedule, minute(9) + MINUTE_MS - 1) == expected("BTC-USD", 9, 1)
