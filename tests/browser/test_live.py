"""What breaks on the way to the page is seen, and leaves nothing behind."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import expect

from tests.browser.chromium import PATIENCE_SECONDS
from tests.browser.dashboard import Dashboard
from tests.browser.market import is_fresh
from tests.browser.watching import Watch
from tests.system.stack import Stack, wait_until

RESTARTS = 10

#: A browser says so itself, of every attempt to connect; no page can keep it from doing that.
NOT_CONNECTED = r"^error: WebSocket connection to 'ws://\S+' failed"


def test_after_ten_restarts_of_the_websocket_server_no_candle_is_missing(
    dashboard: Dashboard, stack: Stack, watch: Watch
) -> None:
    watch.expect(NOT_CONNECTED)
    dashboard.open(pair="BTC-USD")
    before = dashboard.wait_until_equal(at_least=300)

    for number in range(RESTARTS):
        # As an operator does it, and as a crash does it.
        if number % 2:
            stack.kill("ws")
        else:
            stack.make("restart", "P=ws")
        dashboard.wait_until_live()

    dashboard.wait_for_change()
    after = dashboard.wait_until_equal()
    assert after[0] == before[0]
    assert int(after[-1]["rev"]) > int(before[-1]["rev"])


def test_the_badge_says_when_the_connection_is_gone(dashboard: Dashboard, stack: Stack, watch: Watch) -> None:
    watch.expect(NOT_CONNECTED)
    dashboard.open(pair="BTC-USD")
    badge = dashboard.locator("#connection")

    with stopped(stack, "ws"):
        # The server is there and says nothing.
        expect(badge).to_have_attribute("data-state", "stale")
    stack.kill("ws")

    expect(badge).to_have_attribute("data-state", "live")


def test_the_badge_says_when_nothing_comes_from_the_exchange(dashboard: Dashboard, stack: Stack) -> None:
    dashboard.open(pair="BTC-USD")
    badge = dashboard.locator("#connection")
    expect(badge).to_have_text("Live")

    with stopped(stack, "ingest"):
        expect(badge).to_have_attribute("data-state", "stale")
        said = badge.inner_text()
    dashboard.wait_until_live()
    dashboard.wait_for_change()

    assert "sim" in said
    expect(badge).to_have_text("Live")
    dashboard.wait_until_equal()


@contextmanager
def stopped(stack: Stack, program: str) -> Iterator[None]:
    """Let a program stand still; it goes on afterwards, and its data is fresh again."""
    pid = stack.pids()[program]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
        wait_until("all data is fresh again", lambda: is_fresh(stack), seconds=PATIENCE_SECONDS)
