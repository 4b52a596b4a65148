"""What one process knows of one series."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.candle import Candle, Interval, Series, State
from ingest.codec import encode_candle
from ingest.errors import DecodeError
from tests.conftest import make_candle, minute
from web.ws.stream import Stream, encode_line, parse_message
from workers.live import Window

BTC = Series("sim", "BTC-USD", Interval.M1)


def version(number: int, change: int, *, state: State = State.OPEN, volume: int | None = None) -> Candle:
    """The numbered minute in its numbered version; each version has another volume unless said."""
    written_us = minute(number) * 1000 + change
    return make_candle(number, state=state, written_us=written_us, volume=Decimal(change if volume is None else volume))


def window(seq: int, *candles: Candle, epoch: str = "a") -> Window:
    return Window(epoch, seq, 0, [(seq, candle) for candle in candles])


def loaded(seq: int = 10, *candles: Candle) -> Stream:
    stream = Stream(BTC)
    stream.load(window(seq, *(candles or (version(0, 1),))))
    return stream


def test_a_line_has_exactly_these_keys_in_this_order() -> None:
    text = encode_line(make_candle())

    assert text == (
        b'{"pair":"BTC-USD","timestamp":1606166220000,"open":18383.38,"high":18385.85,"low":18376.035,'
        b'"close":18382.06,"volume":0.002185}'
    )


def test_a_message_is_a_cursor_and_a_candle() -> None:
    candle = make_candle()

    cursor, parsed = parse_message(b'{"cursor":"5f3a9c:812","candle":' + encode_candle(candle) + b"}")

    assert (cursor, parsed) == (("5f3a9c", 812), candle)


@pytest.mark.parametrize("payload", [b"", b"{}", b'{"cursor":"x","candle":{}}', b'{"cursor":"a:1","candle":{"v":1}}'])
def test_a_message_that_cannot_be_read_is_refused(payload: bytes) -> None:
    with pytest.raises(DecodeError):
        parse_message(payload)


def test_the_first_window_tells_only_the_newest() -> None:
    changes = Stream(BTC).load(window(3, version(0, 1), version(1, 1), version(2, 1)))

    assert changes == [version(2, 1)]


def test_a_later_window_tells_everything_since_in_order() -> None:
    stream = loaded(10, version(1, 1))

    changes = stream.load(window(14, version(0, 9), version(1, 2), version(2, 1), version(3, 1)))

    assert changes == [version(1, 2), version(2, 1), version(3, 1)]


def test_an_update_is_told_once() -> None:
    stream = loaded(10)

    told = [stream.receive(("a", 11), version(0, 2)), stream.receive(("a", 11), version(0, 2))]

    assert told == [([version(0, 2)], False), ([], False)]


@pytest.mark.parametrize("older", [version(0, 9), version(1, 1)])
def test_nothing_older_than_the_last_is_told(older: Candle) -> None:
    stream = loaded(10, version(1, 2))

    changes, missed = stream.receive(("a", 11), older)

    assert (changes, missed) == ([], False)


def test_another_state_with_the_same_values_is_not_told() -> None:
    stream = loaded(10, version(0, 5))

    changes, _ = stream.receive(("a", 11), version(0, 6, state=State.FINAL, volume=5))

    assert changes == []
    assert stream.newest == version(0, 6, state=State.FINAL, volume=5)


def test_a_jump_of_the_numbers_means_that_messages_are_missing() -> None:
    stream = loaded(10)

    answers = [stream.receive(("a", 12), version(0, 3)), stream.receive(("a", 13), version(0, 4))]
    stream.load(window(13, version(0, 4)))

    assert answers == [([version(0, 3)], True), ([version(0, 4)], True)]
    assert stream.receive(("a", 14), version(0, 5)) == ([version(0, 5)], False)


def test_a_new_minute_after_a_jump_is_told_after_what_the_minute_before_ended_with() -> None:
    stream = loaded(10, version(0, 1))

    at_once = stream.receive(("a", 13), version(1, 1))
    from_the_window = stream.load(window(13, version(0, 2), version(1, 1)))

    assert (at_once, from_the_window) == (([], True), [version(0, 2), version(1, 1)])


def test_the_first_message_after_the_store_was_asked_may_have_had_others_before_it() -> None:
    stream = Stream(BTC)
    stream.load_stored(version(0, 1))

    at_once = stream.receive(("a", 13), version(2, 1))
    from_the_window = stream.load(window(13, version(1, 1), version(2, 1)))

    assert (at_once, from_the_window) == (([], True), [version(1, 1), version(2, 1)])


def test_a_new_epoch_means_that_messages_may_be_missing() -> None:
    stream = loaded(10)

    changes, missed = stream.receive(("b", 11), version(0, 2))

    assert (changes, missed) == ([version(0, 2)], True)


def test_a_restored_older_copy_takes_nothing_back() -> None:
    stream = loaded(10, version(5, 1))

    changes = stream.load(window(3, version(4, 1), epoch="b"))

    assert (changes, stream.newest) == ([], version(5, 1))


def test_a_window_read_before_a_message_does_not_undo_it() -> None:
    stream = loaded(10)
    stream.receive(("a", 11), version(0, 2))

    stream.load(window(10, version(0, 1)))

    assert stream.receive(("a", 12), version(0, 3)) == ([version(0, 3)], False)


def test_a_change_of_this_moment_may_still_be_on_its_way() -> None:
    stream = loaded(10)

    first = stream.check(("a", 11))
    stream.receive(("a", 11), version(0, 2))

    assert (first, stream.check(("a", 11))) == (False, False)


def test_a_change_unseen_for_a_whole_check_is_missed() -> None:
    stream = loaded(10)

    checks = [stream.check(("a", 11)), stream.check(("a", 11))]

    assert checks == [False, True]


def test_another_epoch_is_noticed_at_once() -> None:
    stream = loaded(10)

    assert stream.check(("b", 10))


def test_a_redis_that_was_emptied_counts_from_the_beginning() -> None:
    stream = loaded(800)
    stream.check(("a", 800))

    emptied = [stream.check(None), stream.check(("a", 2))]
    stream.load(window(2, version(1, 1)))

    assert emptied == [False, True]
    assert stream.receive(("a", 4), version(1, 3)) == ([version(1, 3)], True)


def test_without_redis_the_stores_newest_is_told() -> None:
    stream = Stream(BTC)

    changes = stream.load_stored(version(0, 1))

    assert (changes, stream.loaded) == ([version(0, 1)], True)


def test_a_window_is_read_once_redis_is_back() -> None:
    stream = Stream(BTC)
    stream.load_stored(version(0, 1))

    assert stream.check(("a", 5))


changes = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), max_size=30)


@given(changes, changes)
def test_whatever_comes_from_wherever_what_is_told_only_moves_forward(
    messages: list[tuple[int, int]], held: list[tuple[int, int]]
) -> None:
    stream, told = Stream(BTC), list[Candle]()
    for seq, (number, change) in enumerate(messages):
        told += stream.receive(("a", seq), version(number, change))[0]
        if seq % 3 == 0:
            newest = {number: version(number, change) for number, change in sorted(held[: seq + 1])}
            told += stream.load(window(seq, *(newest[number] for number in sorted(newest))))

    places = [(candle.timestamp, candle.rev) for candle in told]
    assert places == sorted(set(places))
    assert stream.newest == (told[-1] if told else None)
