"""Keys and the parsing of a series' hash."""

from ingest.codec import encode_candle
from tests.conftest import make_candle
from workers.live import Window, candles_channel, candles_key, parse_window


def numbered(seq: int, number: int) -> bytes:
    return b'{"seq":%d,' % seq + encode_candle(make_candle(number))[1:]


def test_keys_hold_the_series_in_literal_braces() -> None:
    series = make_candle().series

    assert (candles_key(series), candles_channel(series)) == ("live:{sim|BTC-USD|1m}", "live.ch:{sim|BTC-USD|1m}")


def test_reads_a_hash_oldest_candle_first() -> None:
    candles = [make_candle(number) for number in (0, 1)]
    fields = {
        b"%d" % candles[1].timestamp: numbered(8, 1),
        b"epoch": b"5f3a9c",
        b"seq": b"9",
        b"floor": b"3",
        b"%d" % candles[0].timestamp: numbered(9, 0),
    }

    window = parse_window(fields)

    assert window == Window("5f3a9c", 9, 3, [(9, candles[0]), (8, candles[1])])


def test_nothing_was_trimmed_without_a_floor() -> None:
    window = parse_window({b"epoch": b"a", b"seq": b"1"})

    assert window == Window("a", 1, 0, [])


def test_an_empty_hash_is_no_window() -> None:
    assert parse_window({}) is None


def test_leaves_out_what_cannot_be_read() -> None:
    fields = {b"epoch": b"a", b"seq": b"1", b"60000": b"not JSON", b"120000": b"{}", b"new": b"field"}

    assert parse_window(fields) == Window("a", 1, 0, [])
