"""Which runs `make chaos` makes."""

import argparse

import pytest

from tests.chaos.run import seeds_of


@pytest.mark.parametrize(("text", "seeds"), [("3", [1, 2, 3]), ("41-43", [41, 42, 43]), ("7-7", [7])])
def test_seeds_are_a_number_or_a_range(text: str, seeds: list[int]) -> None:
    assert list(seeds_of(text)) == seeds


@pytest.mark.parametrize("text", ["", "x", "0", "-3", "5-4", "1-2-3", "3.5"])
def test_other_words_are_named(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="expected 20 or 41-60") as refused:
        seeds_of(text)

    assert repr(text) in str(refused.value)
