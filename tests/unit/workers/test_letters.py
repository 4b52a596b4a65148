"""Dead letters: whether they are candles by now, and whether they can be replayed."""

from dataclasses import replace

import pytest

from ingest.codec import encode_candle
from tests.conftest import make_candle
from workers.dead_letters import CUT_BYTES
from workers.letter_index import fingerprint
from workers.letters import DeadLetter, why_no_candle
from workers.replay import why_it_stays

GOOD = encode_candle(make_candle())
LETTER = DeadLetter(0, 7, 1, "old", "candles", 3, 41, b"key", GOOD, ())


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "record has no value"),
        (b"\xff", "record is not UTF-8"),
        (b"{}", "Object missing required field `v`"),
        (GOOD.replace(b'"open":', b'"open":-'), "open is -18383.38"),
        (b'{"note":"%s",' % (b"x" * 300_000) + GOOD[1:], "record has 300"),
    ],
)
def test_what_a_bridge_would_refuse_again_stays(value: bytes | None, reason: str) -> None:
    assert str(why_no_candle(value)).startswith(reason)
    assert str(why_it_stays(replace(LETTER, value=value))).startswith(reason)


def test_what_is_a_candle_now_does_not_stay() -> None:
    assert why_it_stays(LETTER) is None


@pytest.mark.parametrize("topic", ["feeds", "", None])
def test_what_was_no_record_of_candles_stays(topic: str | None) -> None:
    assert why_it_stays(replace(LETTER, from_topic=topic)) == "was no record of candles"


def test_a_letter_that_was_cut_has_the_fingerprint_of_its_record() -> None:
    record = b"x" * 1_000_000

    assert fingerprint(record) == fingerprint(record[:CUT_BYTES])
    assert len({fingerprint(None), fingerprint(b""), fingerprint(b"x"), fingerprint(record)}) == 4


def test_an_origin_that_nobody_wrote_down_is_shown_as_such() -> None:
    known, unknown = LETTER.origin, replace(LETTER, from_topic=None, from_partition=None, from_offset=None).origin

    assert (known, unknown) == ("candles/3 @ 41", "?/? @ ?")
