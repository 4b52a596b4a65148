"""Errors: one root, a sentence each, and fit to cross a process boundary."""

import pickle

import pytest

from ingest.errors import CandleError, DecodeError, IngestError, SettingsError


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (CandleError("open", 0, "a price above 0"), "open is 0, expected a price above 0"),
        (DecodeError(b"{", "truncated"), "truncated: b'{'"),
        (SettingsError(("A=1: expected 2", "B=3: expected 4")), "A=1: expected 2; B=3: expected 4"),
    ],
)
def test_an_error_is_a_sentence_and_survives_pickling(error: IngestError, sentence: str) -> None:
    again = pickle.loads(pickle.dumps(error))

    assert (str(error), type(again), str(again)) == (sentence, type(error), sentence)


def test_a_long_payload_is_cut_in_the_sentence_and_kept_in_the_error() -> None:
    error = DecodeError(b"x" * 10_000, "no JSON")

    assert (len(str(error)) < 200, len(error.payload)) == (True, 10_000)
