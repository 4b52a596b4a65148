"""The dashboard as its visitors have it: opened by address, read through what the page tells of itself."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import httpx
from playwright.sync_api import Locator, Page, expect

from tests.browser.chromium import PATIENCE_SECONDS
from tests.system.stack import Stack, wait_until

#: A candle as the page tells it, every value as text: digits are compared, not floats.
Candle = dict[str, str]

NAMES = ("timestamp", "open", "high", "low", "close", "volume", "state", "minutes", "rev")


class Dashboard:
    """One page that shows the dashboard."""

    def __init__(self, page: Page, stack: Stack) -> None:
        self.page, self._stack = page, stack

    def open(self, **selection: str) -> None:
        """Open it by its address and wait until it is live and shows candles."""
        self.page.goto(f"{self._stack.rest_url}/?{urlencode(selection)}")
        self.wait_until_live()

    def wait_until_live(self) -> None:
        """Wait until it says so, and shows candles."""
        self.page.wait_for_function("() => cryptoStreams.connection() === 'live' && cryptoStreams.candles().length > 0")

    def locator(self, selector: str) -> Locator:
        """An element."""
        return self.page.locator(selector)

    def selection(self) -> dict[str, str]:
        """Exchange, pair, interval, theme and view."""
        selection: dict[str, str] = self.page.evaluate("() => cryptoStreams.selection()")
        return selection

    def candles(self) -> list[Candle]:
        """What the chart shows, ascending."""
        return [_as_text(each) for each in self.page.evaluate("() => cryptoStreams.candles()")]

    def served(self, begin: str, end: str | None = None) -> list[Candle]:
        """What REST has of the series that is selected from one open time on, ascending; ``end`` is inclusive."""
        selection = self.selection()
        asked = {name: selection[name] for name in ("exchange", "pair", "interval")}
        limits = {"from": begin, "order": "asc"} | ({"to": end} if end else {})
        answer = httpx.get(f"{self._stack.rest_url}/api/candles", params=asked | limits, timeout=10)
        assert answer.status_code == 200, answer.text
        rows = json.loads(answer.text, parse_float=str, parse_int=str)["candles"]
        return [_as_text(each) for each in rows]

    def wait_until_equal(self, at_least: int = 1) -> list[Candle]:
        """Wait until the chart has exactly what REST has from the chart's first candle on; returns that.

        Args:
            at_least: How many candles it has to have; more than 60 are not of the live side alone.

        Raises:
            AssertionError: With the first differences, if that does not come to be.
        """
        seen: list[Any] = []

        def equal() -> bool:
            shown = self.candles()
            served = self.served(shown[0]["timestamp"]) if shown else []
            seen[:] = [shown, served]
            return len(shown) >= at_least and shown == served

        try:
            wait_until("the page has what REST has", equal, seconds=PATIENCE_SECONDS)
        except AssertionError as error:
            shown, served = ({each["timestamp"]: each for each in rows} for rows in seen)
            differing = {
                time: (shown.get(time), served.get(time))
                for time in sorted({*shown, *served})
                if shown.get(time) != served.get(time)
            }
            raise AssertionError(
                f"{len(shown)} candles, {len(served)} over REST, differing: {list(differing.items())[:3]}"
            ) from error
        shown_last: list[Candle] = seen[0]
        return shown_last

    def wait_for_more(self, count: int) -> None:
        """Wait until the chart has more than so many candles."""
        self.page.wait_for_function("count => cryptoStreams.candles().length > count", arg=count)

    def repeat(self, action: Callable[[], object], until: Callable[[], object]) -> None:
        """Do something again and again until something is so, and give the page time to paint in between."""

        def done() -> bool:
            if until():
                return True
            action()
            painted(self.page)
            return False

        wait_until("what was repeated had its effect", done, seconds=PATIENCE_SECONDS, every=0)

    def wait_for_change(self) -> None:
        """Wait until the newest candle is another version than it is now."""
        self.page.wait_for_function(
            "before => cryptoStreams.candles().at(-1).rev !== before", arg=self.candles()[-1]["rev"]
        )


def painted(page: Page) -> None:
    """Return once the page has painted anew."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def opened(candle: Candle) -> str:
    """Its open time as people read it."""
    return f"{datetime.fromtimestamp(int(candle['timestamp']) / 1000, UTC):%Y-%m-%d %H:%M}"


def wait_for_status(page: Page) -> None:
    """Wait until the status page, which asks everybody at once, has an answer in every section."""
    for section, said in {"#services": "MongoDB", "#feeds": "sim", "#series": "BTC-USD"}.items():
        expect(page.locator(section)).to_contain_text(said)


def _as_text(candle: dict[str, Any]) -> Candle:
    return {name: str(candle[name]) for name in NAMES}
