"""From records to batches: what is left out, what is set apart, what bounds hold."""

import json
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.candle import Candle, State
from ingest.codec import decode_candle, encode_candle, encode_event
from ingest.events import EventKind, FeedEvent, FeedState
from tests.conftest import MINUTE_MS, make_candle
from workers.batching import MAX_JOB_BYTES, MAX_ROWS, Collector, candle_version, event_version
from workers.watermark import Batch, Letter, Row


def collect(values: list[bytes | None]) -> list[Batch]:
    """The batches of these record values, at offsets 0, 1, …"""
    collector, batches = Collector(candle_version), []
    for offset, value in enumerate(values):
        batches.append(collector.add(offset, b"key", value, 0.0))
        if collector.full:
            batches.append(collector.take())
    batches.append(collector.take())
    return [each for each in batches if each is not None]


def padded(number: int, size: int) -> bytes:
    """A valid record of about ``size`` bytes."""
    return b'{"note":"%s",' % (b"x" * size) + encode_candle(make_candle(number))[1:]


def test_keeps_the_newest_version_of_each_candle() -> None:
    old = make_candle(0, written_us=MINUTE_MS * 1000)
    new = make_candle(0, written_us=MINUTE_MS * 1000 + 5)
    other = make_candle(1)

    (batch,) = collect([encode_candle(new), encode_candle(other), encode_candle(old)])

    rows = [Row(0, encode_candle(new).decode(), b"key"), Row(1, encode_candle(other).decode(), b"key")]
    assert (batch.first, batch.last, batch.rows, batch.letters, batch.records) == (0, 2, rows, [], 3)


def test_unreadable_records_become_letters_and_cost_nothing_else() -> None:
    good = encode_candle(make_candle())
    surer_but_impossible = encode_candle(make_candle(state=State.FINAL)).replace(b'"low":18376.035', b'"low":-1')
    values = [good, None, b"\xff\xfe", b"{}", good.replace(b'"v":1', b'"v":2'), surer_but_impossible]

    (batch,) = collect(values)

    assert [row.offset for row in batch.rows] == [0]
    assert batch.letters == [
        Letter(1, b"key", None, "record has no value, expected a JSON object"),
        Letter(2, b"key", b"\xff\xfe", "record is not UTF-8: invalid start byte at byte 0"),
        Letter(3, b"key", b"{}", "Object missing required field `v`"),
        Letter(4, b"key", values[4], "schema version is 2, expected 1"),
        Letter(5, b"key", surer_but_impossible, "low is -1, expected a price above 0"),
    ]
    assert (batch.first, batch.last) == (0, 5)


def test_a_record_too_large_for_a_job_becomes_a_letter() -> None:
    value = padded(0, 1_000_000)

    (batch,) = collect([value])

    reason = f"record has {len(value)} bytes, expected less than {MAX_JOB_BYTES}"
    assert (batch.rows, batch.letters) == ([], [Letter(0, b"key", value, reason)])


def test_a_full_batch_is_closed() -> None:
    values: list[bytes | None] = [encode_candle(make_candle(number)) for number in range(MAX_ROWS + 1)]

    batches = collect(values)

    assert [(each.first, each.last, len(each.rows)) for each in batches] == [
        (0, MAX_ROWS - 1, MAX_ROWS),
        (MAX_ROWS, MAX_ROWS, 1),
    ]


def test_events_keep_the_newest_of_each_exchange() -> None:
    collector = Collector(event_version)
    events = [
        FeedEvent("sim", EventKind.BEAT, FeedState.LIVE, since=1, at=5),
        FeedEvent("kraken", EventKind.BEAT, FeedState.LIVE, since=1, at=3),
        FeedEvent("sim", EventKind.BEAT, FeedState.DOWN, since=1, at=6),
    ]
    for offset, event in enumerate(events):
        collector.add(offset, None, encode_event(event), 0.0)

    batch = collector.take()

    assert batch is not None
    assert [row.offset for row in batch.rows] == [1, 2]


candles = st.builds(
    lambda number, later_us, volume: make_candle(number, written_us=MINUTE_MS * 1000 + later_us, volume=volume),
    st.integers(0, 5),
    st.integers(0, 1000),
    st.decimals(0, 1000, places=3),
)
records = st.one_of(
    candles.map(encode_candle),
    st.none(),
    st.binary(max_size=20),
    st.tuples(st.integers(0, 5), st.integers(1, 150_000)).map(lambda args: padded(*args)),
)


@settings(max_examples=50)
@given(st.lists(records, max_size=30))
def test_batches_hold_every_offset_once_and_fit_into_a_job(values: list[bytes | None]) -> None:
    batches = collect(values)

    covered = [offset for each in batches for offset in range(each.first, each.last + 1)]
    assert covered == list(range(len(values)))
    for each in batches:
        rows = [(row.offset, row.text) for row in each.rows]
        assert len(json.dumps(rows)) <= MAX_JOB_BYTES
        assert len(each.rows) <= MAX_ROWS


@given(st.lists(candles, max_size=30))
def test_what_is_left_out_changes_nothing(versions: list[Candle]) -> None:
    batches = collect([encode_candle(each) for each in versions])

    kept = [decode_candle(row.text.encode()) for each in batches for row in each.rows]

    assert newest_revs(kept) == newest_revs(versions)


def newest_revs(versions: list[Candle]) -> dict[int, int]:
    newest: dict[int, int] = {}
    for each in versions:
        newest[each.timestamp] = max(newest.get(each.timestamp, 0), each.rev)
    return newest


def test_prices_stay_as_they_were_written() -> None:
    candle = make_candle(volume=Decimal("0.100000000000000000000000000001"))

    (batch,) = collect([encode_candle(candle)])

    assert batch.rows[0].text == encode_candle(candle).decode()
