"""A whole stack with a simulated market, a browser, pages that are watched; in the end what was measured is printed."""

from collections.abc import Callable, Iterator
from typing import Protocol

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.chromium import PATIENCE_SECONDS, launched
from tests.browser.dashboard import Dashboard
from tests.browser.market import running_market
from tests.browser.watching import Watch
from tests.system.stack import Stack

PORT_OFFSET = 2_400
PAIRS = ("BTC-USD", "ETH-EUR")

_MEASURED = pytest.StashKey[list[str]]()

expect.set_options(timeout=PATIENCE_SECONDS * 1000)


class OpenPage(Protocol):
    """Opens a page in a fresh profile."""

    def __call__(self, *, width: int = 1280, height: int = 800, scheme: str = "light") -> Page:
        """``scheme``: what the system prefers, ``light`` or ``dark``."""


@pytest.fixture(scope="package")
def stack() -> Iterator[Stack]:
    """A stack that follows two simulated exchanges, whose market has caught up with the clock."""
    # More than a chart asks for at once, and an update every other second.
    past = {"SIM_START": "-12h", "SIM_UPDATES": "30"}
    pairs = {"EXCHANGE": "sim,simkraken", "PAIRS": ",".join(PAIRS), "PAIRS_SIMKRAKEN": PAIRS[0]}
    with running_market("browser", PORT_OFFSET, **past, **pairs) as stack:
        yield stack


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium."""
    with launched() as browser:
        yield browser


@pytest.fixture(scope="package", autouse=True)
def onlooker(browser: Browser, stack: Stack) -> Iterator[Dashboard]:
    """A visitor who looks at one chart the whole time, beside all that the tests do; `test_timings` asks them."""
    with browser.new_context() as context:
        context.set_default_timeout(PATIENCE_SECONDS * 1000)
        dashboard = Dashboard(context.new_page(), stack)
        dashboard.open(pair=PAIRS[0])
        yield dashboard


@pytest.fixture
def watches() -> Iterator[list[Watch]]:
    """What hears the pages of this test; in the end none may have anything to complain of."""
    watches: list[Watch] = []
    yield watches
    complaints = [complaint for watch in watches for complaint in watch.complaints()]
    assert complaints == []


@pytest.fixture
def open_page(browser: Browser, stack: Stack, watches: list[Watch]) -> Iterator[OpenPage]:
    """Opens watched pages."""
    contexts = []

    def open_page(*, width: int = 1280, height: int = 800, scheme: str = "light") -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if scheme == "dark" else "light"
        )
        contexts.append(context)
        context.set_default_timeout(PATIENCE_SECONDS * 1000)
        watches.append(Watch(context, stack))
        return context.new_page()

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def dashboard(open_page: OpenPage, stack: Stack) -> Dashboard:
    """A page for the dashboard, not opened yet."""
    return Dashboard(open_page(), stack)


@pytest.fixture
def watch(dashboard: Dashboard, watches: list[Watch]) -> Watch:
    """What hears the page of ``dashboard``."""
    return watches[0]


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Takes a line for the summary."""
    return request.config.stash.setdefault(_MEASURED, []).append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was measured, however quiet the rest is."""
    lines = terminalreporter.config.stash.get(_MEASURED, [])
    if lines:
        terminalreporter.section("measured in the browser")
        for line in lines:
            terminalreporter.write_line(line)
