"""What a client is owed: order, newest version, bounds."""

from hypothesis import given
from hypothesis import strategies as st

from ingest.candle import Interval, Series
from web.ws.outbox import MAX_WAITING_REPLIES, MAX_WAITING_REPLY_BYTES, Outbox

BTC = Series("sim", "BTC-USD", Interval.M1)
ETH = Series("sim", "ETH-USD", Interval.M1)


def drain(outbox: Outbox) -> list[bytes]:
    return list(iter(outbox.take, None))


def test_rows_leave_in_the_order_of_their_changes() -> None:
    outbox = Outbox(10)
    for key, frame in [((BTC, 0), b"btc 0"), ((ETH, 0), b"eth 0"), ((BTC, 60), b"btc 60")]:
        outbox.put_row(key, frame)

    assert drain(outbox) == [b"btc 0", b"eth 0", b"btc 60"]


def test_a_newer_version_takes_the_place_of_the_older_one_at_the_end() -> None:
    outbox = Outbox(10)

    replaced = [outbox.put_row(*row) for row in [((BTC, 0), b"v1"), ((ETH, 0), b"eth"), ((BTC, 0), b"v2")]]

    assert replaced == [False, False, True]
    assert drain(outbox) == [b"eth", b"v2"]


def test_replies_go_first() -> None:
    outbox = Outbox(10)
    outbox.put_row((BTC, 0), b"row")
    outbox.put_reply(b"reply")

    assert drain(outbox) == [b"reply", b"row"]


def test_a_forgotten_series_is_not_owed_any_more() -> None:
    outbox = Outbox(10)
    for key in [(BTC, 0), (ETH, 0), (BTC, 60)]:
        outbox.put_row(key, key[0].pair.encode())

    outbox.forget(BTC)

    assert drain(outbox) == [b"ETH-USD"]


def test_too_many_rows_are_an_overflow_and_replacing_is_not() -> None:
    outbox = Outbox(2)
    outbox.put_row((BTC, 0), b"a")
    outbox.put_row((BTC, 60), b"b")
    outbox.put_row((BTC, 0), b"c")
    before = outbox.overflowed

    outbox.put_row((BTC, 120), b"d")

    assert (before, outbox.overflowed, len(outbox)) == (False, True, 2)


def test_too_many_replies_are_an_overflow() -> None:
    outbox = Outbox(2)
    for _ in range(MAX_WAITING_REPLIES):
        outbox.put_reply(b"reply")
    before = outbox.overflowed

    outbox.put_reply(b"reply")

    assert (before, outbox.overflowed, len(outbox)) == (False, True, MAX_WAITING_REPLIES)


def test_too_large_replies_are_an_overflow_and_what_was_taken_does_not_count() -> None:
    outbox = Outbox(2)
    half = bytes(MAX_WAITING_REPLY_BYTES // 2)
    for _ in range(3):
        outbox.put_reply(half)
        outbox.take()
    outbox.put_reply(half)
    outbox.put_reply(half)
    before = outbox.overflowed

    outbox.put_reply(b"x")

    assert (before, outbox.overflowed, len(outbox)) == (False, True, 2)


keys = st.tuples(st.sampled_from([BTC, ETH]), st.integers(0, 4))


@given(st.lists(keys | st.none()), st.integers(1, 12))
def test_whatever_happens_each_candle_leaves_in_its_newest_version_and_in_order(
    steps: "list[tuple[Series, int] | None]", bound: int
) -> None:
    outbox, model, number = Outbox(bound), dict[tuple[Series, int], bytes](), 0
    sent: list[int] = []
    for step in steps:
        if step is None:
            frame = outbox.take()
            assert frame == (model.pop(next(iter(model))) if model else None)
            if frame is not None:
                sent.append(int(frame))
            continue
        number += 1
        model.pop(step, None)
        if len(model) < bound:
            model[step] = str(number).encode()
        outbox.put_row(step, str(number).encode())
        if outbox.overflowed:
            break

        assert len(outbox) <= bound
    assert sent == sorted(sent)
