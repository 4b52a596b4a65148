"""TradingView's charts on a real gunicorn and a real store: the adapter's requests, in its order."""

import time
from typing import Any

import httpx
import pytest

from ingest.candle import Candle, Interval
from tests.conftest import make_candle
from tests.integration.udf_adapter import Bar, UdfAdapter, UdfError, scroll_back, seconds_of
from workers.store import CandleStore

MINUTE = 60
INTERVALS = dict(zip(["1", "5", "15", "30", "60", "240", "1D"], Interval, strict=True))


@pytest.fixture
def newest() -> int:
    """The open time of the newest minute, Unix seconds; not of one that begins in this very second.

    Charts ask up to this second, exclusive, and would not see that minute's candle before the next.
    """
    return (int(time.time()) - 1) // MINUTE * MINUTE


def candle(open_seconds: int, version: int = 1, **fields: Any) -> Candle:
    return make_candle(timestamp=open_seconds * 1000, written_us=(open_seconds * 1000 + version) * 1000, **fields)


@pytest.fixture
def times(store: CandleStore, newest: int) -> list[int]:
    """Open times that are stored: 400 minutes, a day without any, 200 more up to now; and one from the future."""
    recent = [newest - number * MINUTE for number in reversed(range(200))]
    old = [recent[0] - 86_400 - number * MINUTE for number in reversed(range(400))]
    assert store.write([candle(each) for each in [*old, *recent, newest + 10 * MINUTE]]) == []
    return [*old, *recent]


@pytest.fixture
def adapter(api: httpx.Client, times: list[int]) -> UdfAdapter:
    adapter = UdfAdapter(api)
    adapter.on_ready()
    return adapter


def test_a_chart_opens_a_pair_that_was_searched_for(adapter: UdfAdapter, times: list[int]) -> None:
    (found,) = adapter.search("btc")
    info = adapter.resolve(found["ticker"])
    bars, meta = adapter.get_bars(info["ticker"], times[-1] - 300 * MINUTE, times[-1] + MINUTE, 300)

    assert "1" in info["supported_resolutions"]
    assert (info["ticker"], info["pricescale"], info["session"]) == ("sim:BTC-USD", 1000, "24x7")
    # More than the 200 of the last day: counting back leaps over the day without candles.
    assert [bar.time for bar in bars] == times[-300:]
    assert bars[-1] == Bar(times[-1], 18383.38, 18385.85, 18376.035, 18382.06, 0.002185)
    assert meta == {"noData": False}


@pytest.mark.parametrize("countback", [329, None], ids=["countback", "from and to alone"])
def test_scrolling_back_shows_every_bar_once_and_ends(
    adapter: UdfAdapter, times: list[int], countback: int | None
) -> None:
    chunks = scroll_back(adapter, "sim:BTC-USD", until=times[-1] + MINUTE, width=150, countback=countback)

    assert [bar.time for chunk in reversed(chunks) for bar in chunk] == times


@pytest.mark.parametrize("resolution", ["5", "15", "30", "60", "240", "1D"])
def test_every_resolution_can_be_opened_polled_and_scrolled_to_its_end(
    adapter: UdfAdapter, store: CandleStore, newest: int, resolution: str
) -> None:
    length = seconds_of(resolution)
    running = newest // length * length
    # A hole as long as three screens lies between them.
    times = [running - number * length for number in (*reversed(range(60, 90)), *reversed(range(15)))]
    assert store.write([candle(each, interval=INTERVALS[resolution]) for each in times]) == []
    until = running + length

    latest, _ = adapter.get_bars("sim:BTC-USD", until - 20 * length, until, 20, resolution)
    chunks = scroll_back(adapter, "sim:BTC-USD", until, width=15, countback=None, resolution=resolution)
    empty = adapter.get_bars("sim:BTC-USD", times[29] + length, times[30], None, resolution)

    # Counting back leaps over the hole.
    assert [bar.time for bar in latest] == times[-20:]
    assert [bar.time for bar in adapter.poll("sim:BTC-USD", resolution)] == times[-2:]
    assert [bar.time for chunk in reversed(chunks) for bar in chunk] == times
    assert empty == ([], {"noData": True, "nextTime": times[29]})


def test_a_range_without_bars_names_the_next_older_one(adapter: UdfAdapter, times: list[int]) -> None:
    empty = adapter.get_bars("sim:BTC-USD", times[399] + MINUTE, times[400], None)
    before_all = adapter.get_bars("sim:BTC-USD", times[0] - 86_400, times[0], None)

    assert empty == ([], {"noData": True, "nextTime": times[399]})
    assert before_all == ([], {"noData": True, "nextTime": None})


def test_a_window_that_lies_in_the_future_shows_no_bar_from_there(adapter: UdfAdapter, times: list[int]) -> None:
    bars, _ = adapter.get_bars("sim:BTC-USD", times[-2], times[-1] + 86_400, None)

    assert [bar.time for bar in bars] == times[-2:]


def test_polling_shows_the_running_bar_change(adapter: UdfAdapter, store: CandleStore, times: list[int]) -> None:
    before = adapter.poll("sim:BTC-USD")
    assert store.write([candle(times[-1], version=2, volume=make_candle().volume * 2)]) == []

    after = adapter.poll("sim:BTC-USD")

    assert [bar.time for bar in after] == [bar.time for bar in before] == times[-2:]
    assert (before[-1].volume, after[-1].volume) == (0.002185, 0.00437)


def test_the_clock_of_a_chart_is_set_by_ours(adapter: UdfAdapter) -> None:
    assert abs(adapter.server_time() - time.time()) <= 2


def test_mistakes_are_errors_that_a_chart_can_show(adapter: UdfAdapter, api: httpx.Client) -> None:
    with pytest.raises(UdfError, match="unknown_symbol"):
        adapter.resolve("sim:DOGE-USD")
    with pytest.raises(UdfError, match="pair DOGE-USD is not known"):
        adapter.get_bars("sim:DOGE-USD", 0, 1, 300)
    answer = api.get("/udf/history?symbol=BTC-USD&resolution=7&to=1")

    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert answer.json()["s"] == "error"
    assert answer.json()["errmsg"] == "resolution=7: expected one of 1, 5, 15, 30, 60, 240, 1D, D"
