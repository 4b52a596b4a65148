"""At most so many updates a second, and never a lost final."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ingest.candle import Candle, State
from tests.unit.web.ws.live_values import version
from web.ws.mirror import Change
from web.ws.rate import MAX_WAITING, Due, RateLimit

START = ("a", 0)


def change(seq: int, candle: Candle) -> Change:
    return Change(candle, ("a", seq))


def shown(due: list[Due]) -> list[tuple[Candle, int]]:
    return [(each.candle, -1 if cursor is None else cursor[1]) for each, cursor in due]


def test_the_first_goes_at_once_and_of_the_rest_the_newest_when_its_time_has_come() -> None:
    rate = RateLimit(10, START)

    first = rate.put(change(1, version(0, 1)), 0.0)
    held_back = rate.put(change(2, version(0, 2)), 0.01) + rate.put(change(3, version(0, 3)), 0.02)
    due_at = rate.due_at
    later = rate.take_due(0.05) + rate.take_due(0.1)

    assert (shown(first), held_back) == ([(version(0, 1), 1)], [])
    assert (due_at, shown(later), rate.due_at) == (0.1, [(version(0, 3), 3)], None)


def test_after_a_pause_a_change_goes_at_once() -> None:
    rate = RateLimit(10, START)
    rate.put(change(1, version(0, 1)), 0.0)

    assert shown(rate.put(change(2, version(0, 2)), 5.0)) == [(version(0, 2), 2)]


def test_a_final_goes_at_once_and_takes_the_place_of_what_waits_of_its_candle() -> None:
    rate = RateLimit(1, START)
    rate.put(change(1, version(0, 1)), 0.0)
    rate.put(change(2, version(0, 2)), 0.1)

    final = rate.put(change(3, version(0, 3, state=State.FINAL)), 0.2)

    assert (shown(final), rate.due_at) == ([(version(0, 3, state=State.FINAL), 3)], None)


def test_a_final_that_overtakes_carries_the_last_cursor_that_was_sent() -> None:
    rate = RateLimit(1, START)
    rate.put(change(1, version(1, 1)), 0.0)
    rate.put(change(2, version(1, 2)), 0.1)

    final = rate.put(change(3, version(0, 3, state=State.CORRECTED)), 0.2)
    later = rate.take_due(1.0)

    assert shown(final) == [(version(0, 3, state=State.CORRECTED), 1)]
    assert shown(later) == [(version(1, 2), 2)]


def test_what_waits_is_bounded() -> None:
    rate = RateLimit(0.1, START)

    due = [each for number in range(MAX_WAITING + 5) for each in rate.put(change(number, version(number)), 0.0)]

    assert [each.candle for each, _ in due] == [version(number) for number in range(5)]


steps = st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.floats(0, 0.3)), max_size=60)


@given(steps)
def test_the_rate_holds_finals_come_and_a_cursor_never_runs_ahead(happened: list[tuple[int, bool, float]]) -> None:
    rate, now, seq = RateLimit(10, START), 0.0, 0
    newest: dict[int, tuple[int, Candle]] = {}
    got: dict[int, Candle] = {}
    sent_at: list[float] = []

    def send(due: list[Due]) -> None:
        for each, cursor in due:
            candle = each.candle
            got[candle.timestamp] = candle
            if candle.state is State.OPEN:
                sent_at.append(now)
            for timestamp, (number, _) in newest.items():
                # Who resumes from here is sent what changed after it: everything else must have come.
                assert cursor is None or number > cursor[1] or timestamp in got

    for number, is_final, seconds in happened:
        now, seq = now + seconds, seq + 1
        candle = version(number, seq, state=State.FINAL if is_final else State.OPEN)
        newest[candle.timestamp] = seq, candle
        send(rate.take_due(now))
        due = rate.put(change(seq, candle), now)
        send(due)

        assert not is_final or due[0][0].candle == candle
    while rate.due_at is not None:
        now = max(now, rate.due_at)
        send(rate.take_due(now))
    assert got == {timestamp: candle for timestamp, (_, candle) in newest.items()}
    assert all(later - earlier >= 0.099 for earlier, later in pairwise(sent_at))
