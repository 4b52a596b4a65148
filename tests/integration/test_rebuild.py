"""`python -m workers rebuild` as a process on a real store: what it prints, and what is there afterwards."""

import os
import re
from collections.abc import Iterator

import pytest
from pymongo import MongoClient

from ingest.candle import Interval, Series, State
from tests.conftest import MINUTE_MS, make_candle
from tests.integration.commands import run, run_on_terminal
from workers.documents import Document
from workers.store import CandleStore

#: Colours, bold, and the moves of a progress bar.
_ESCAPES = re.compile(r"\x1b\[[?0-9;]*[A-Za-z]")
OPENED_MS = MINUTE_MS - MINUTE_MS % 86_400_000


@pytest.fixture
def environment(mongo_uri: str, database: str) -> dict[str, str]:
    """Settings of a process."""
    services = {"MONGO_URI": mongo_uri, "MONGO_DB": database}
    return {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | services


@pytest.fixture
def store(mongo_uri: str, database: str) -> Iterator[CandleStore]:
    """The store that the command works on."""
    with MongoClient[Document](mongo_uri) as client:
        yield CandleStore(client, database, "candles")


def write_minutes(store: CandleStore, count: int) -> None:
    """So many final minutes, from midnight on."""
    minutes = [make_candle(timestamp=OPENED_MS + number * 60_000, state=State.FINAL) for number in range(count)]
    assert store.write(minutes) == []


def test_it_counts_what_it_wrote_and_what_was_right(environment: dict[str, str], store: CandleStore) -> None:
    write_minutes(store, 90)

    first, again = run(environment, "rebuild", "sim", "BTC-USD"), run(environment, "rebuild", "sim", "BTC-USD")

    counts = {"5m": 18, "15m": 6, "30m": 3, "1h": 2, "4h": 1, "1d": 1}
    named = {"exchange": "sim", "pair": "BTC-USD"}
    assert (first.status, first.errors, again.status, again.errors) == (0, "", 0, "")
    assert first.lines == [
        named | {"interval": interval, "written": count, "unchanged": 0} for interval, count in counts.items()
    ]
    assert again.lines == [
        named | {"interval": interval, "written": 0, "unchanged": count} for interval, count in counts.items()
    ]
    hours = store.find(Series("sim", "BTC-USD", Interval.H1), limit=10)
    assert [each.state for each in hours] == [State.OPEN, State.FINAL]


def test_a_range_rebuilds_what_holds_it(environment: dict[str, str], store: CandleStore) -> None:
    write_minutes(store, 90)
    since, until = str(OPENED_MS + 31 * 60_000), str(OPENED_MS + 36 * 60_000)

    ended = run(environment, "rebuild", "sim", "BTC-USD", "--from", since, "--to", until)

    assert [line["written"] for line in ended.lines] == [2, 1, 1, 1, 1, 1]


def test_on_a_terminal_it_is_a_table(environment: dict[str, str], store: CandleStore) -> None:
    write_minutes(store, 90)

    status, written = run_on_terminal(environment, "rebuild", "sim", "BTC-USD")
    text = _ESCAPES.sub("", written)

    assert status == 0
    assert re.search(r"interval +written +unchanged", text)
    assert re.search(r"5m +18 +0 ", text)
    assert "BTC-USD on sim, " in text


def test_a_pair_without_minutes_is_status_1_and_a_sentence(environment: dict[str, str]) -> None:
    ended = run(environment, "rebuild", "sim", "XXX-USD")

    assert (ended.status, ended.errors) == (1, "the store holds no minutes of XXX-USD on sim\n")
