"""What a command writes: harmless on terminals, exact for programs."""

import io
import json
from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest

from ingest.codec import encode_candle
from tests.conftest import make_candle
from workers.console import LINE_SECONDS, Output, ProgressLines, exact_json, harmless, utc


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("BTC-USD: 1.5 €", "BTC-USD: 1.5 €"),
        ("\x1b[2J\r\n\x07", "\\x1b[2J\\r\\n\\x07"),
        ("\u202eright to left\u200b", "\\u202eright to left\\u200b"),
        ("[bold]no markup[/bold]", "[bold]no markup[/bold]"),
        ("\udcff", "\\udcff"),
    ],
)
def test_what_a_terminal_might_obey_is_escaped(text: str, shown: str) -> None:
    assert harmless(text) == shown


def test_a_line_is_json_with_exact_decimals() -> None:
    stdout = io.StringIO()
    candle = make_candle(volume=Decimal("1.50000000000000000000000001"))

    Output(stdout=stdout).line({"kind": "x", "expected": exact_json(encode_candle(candle)), "rate": Decimal("0.10")})

    line = json.loads(stdout.getvalue(), parse_float=str)
    assert line["rate"] == "0.10"
    assert line["expected"]["volume"] == "1.50000000000000000000000001"


def test_what_is_no_terminal_gets_json() -> None:
    assert Output(stdout=io.StringIO()).as_json


def test_a_cell_is_no_markup() -> None:
    stdout = io.StringIO()

    Output(stdout=stdout).table(["what", ">bytes"], [("[red]x[/red] \x1b[31m", "7")])

    assert "[red]x[/red] \\x1b[31m" in stdout.getvalue()
    assert "\x1b" not in stdout.getvalue()


class Unread(io.StringIO):
    """A pipe that nobody reads any more."""

    def write(self, _text: str, /) -> int:
        raise BrokenPipeError


@pytest.mark.parametrize("write", [lambda output: output.say("x"), lambda output: output.table(["x"], [["y"]])])
def test_that_nobody_reads_is_an_error_and_not_the_end_of_the_process(write: Callable[[Output], None]) -> None:
    with pytest.raises(BrokenPipeError):
        write(Output(stdout=Unread()))


def test_progress_nobody_watches_is_a_line_every_few_seconds() -> None:
    stream, times = io.StringIO(), ticks(LINE_SECONDS / 5)
    progress = ProgressLines(stream, "reading candles", 100, lambda: next(times))

    for _ in range(12):
        progress(5)

    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert lines == [
        {"progress": "reading candles", "done": 25, "total": 100, "per_second": 5, "eta_seconds": 15},
        {"progress": "reading candles", "done": 50, "total": 100, "per_second": 5, "eta_seconds": 10},
    ]


def ticks(step: float) -> Iterator[float]:
    now = 100.0
    while True:
        yield now
        now += step


@pytest.mark.parametrize(
    ("time_ms", "text"),
    [
        (1_606_166_220_000, "2020-11-23 21:17:00"),
        (1_606_166_220_007, "2020-11-23 21:17:00.007"),
        (-1, "1969-12-31 23:59:59.999"),
        (2**62, f"{2**62} ms"),
    ],
)
def test_times_are_utc(time_ms: int, text: str) -> None:
    assert utc(time_ms) == text
