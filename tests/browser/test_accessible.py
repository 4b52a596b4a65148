"""Everybody can use the pages: by keyboard, with a screen reader, on a phone, in both themes."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.axe import violations
from tests.browser.conftest import OpenPage
from tests.browser.dashboard import Dashboard, opened, wait_for_status
from tests.system.stack import Stack

THEMES = ("light", "dark")

#: Where a person is with the keyboard: what tells an element apart.
_FOCUSED = """() => {
  const at = document.activeElement;
  return at.id || at.dataset.pair || at.getAttribute("href") || at.tagName;
}"""


def open_status(page: Page, stack: Stack, theme: str) -> None:
    """Open the status page and wait until it tells something."""
    page.goto(f"{stack.rest_url}/status?theme={theme}")
    wait_for_status(page)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("view", ["chart", "table"])
def test_nothing_on_the_dashboard_is_in_anybodys_way(dashboard: Dashboard, view: str, theme: str) -> None:
    dashboard.open(view=view, theme=theme)
    expect(dashboard.locator("#overview [data-pair]").first).to_be_visible()

    found = violations(dashboard.page)

    assert found == []


@pytest.mark.parametrize("theme", THEMES)
def test_nothing_on_the_status_page_is_in_anybodys_way(open_page: OpenPage, stack: Stack, theme: str) -> None:
    page = open_page(scheme=theme)
    open_status(page, stack, theme)

    found = violations(page)

    assert found == []


@pytest.mark.parametrize("theme", THEMES)
def test_without_a_choice_the_theme_is_that_of_the_system(open_page: OpenPage, stack: Stack, theme: str) -> None:
    page = open_page(scheme=theme)
    dashboard = Dashboard(page, stack)
    dashboard.open()

    letters = page.evaluate("() => getComputedStyle(document.body).color.match(/\\d+/g).slice(0, 3).map(Number)")

    assert dashboard.selection()["theme"] == "auto"
    assert (min(letters) > 128) == (theme == "dark"), letters


def test_the_keyboard_alone_reaches_every_control(dashboard: Dashboard) -> None:
    dashboard.open()
    expect(dashboard.locator("#overview [data-pair]")).to_have_count(3)
    reached: list[str] = []

    while reached.count("BODY") < 2 and len(reached) < 100:
        dashboard.page.keyboard.press("Tab")
        reached.append(dashboard.page.evaluate(_FOCUSED))

    controls = {"exchange", "pair", "interval", "theme", "view", "BTC-USD", "ETH-EUR", "/status"}
    assert controls - set(reached) == set(), reached


def test_the_keyboard_alone_works_every_control(dashboard: Dashboard) -> None:
    dashboard.open(pair="BTC-USD")
    press = dashboard.page.keyboard.press
    before = dashboard.selection()

    dashboard.locator("#pair").focus()
    press("ArrowDown")
    dashboard.page.wait_for_function("() => cryptoStreams.selection().pair === 'ETH-EUR'")
    dashboard.locator("#interval").focus()
    press("ArrowDown")
    dashboard.page.wait_for_function("() => cryptoStreams.selection().interval === '5m'")
    dashboard.locator("#view").focus()
    press("Enter")
    expect(dashboard.locator("#table")).to_be_visible()
    dashboard.locator("#theme").focus()
    press("Space")
    dashboard.page.wait_for_function("() => cryptoStreams.selection().theme !== 'auto'")
    dashboard.locator('#overview [data-pair="BTC-USD"]').first.focus()
    press("Enter")
    dashboard.page.wait_for_function("() => cryptoStreams.selection().pair === 'BTC-USD'")

    after = dashboard.selection()
    assert before | {"interval": "5m", "view": "table", "theme": after["theme"]} == after


def test_the_chart_is_walked_through_by_keys(dashboard: Dashboard) -> None:
    dashboard.open(pair="BTC-USD")
    shown = dashboard.wait_until_equal(at_least=300)
    press = dashboard.page.keyboard.press

    dashboard.locator("#chart").focus()
    for _ in range(100):
        press("ArrowLeft")
    when = dashboard.locator("#spoken").inner_text().partition(" UTC")[0]
    expect(dashboard.locator("#legend")).to_contain_text(when)
    dashboard.repeat(lambda: press("PageUp"), until=lambda: dashboard.candles()[0] != shown[0])

    # A new minute may have begun on the way.
    assert when in {opened(candle) for candle in shown[-100:-97]}


@pytest.mark.parametrize("view", ["chart", "table"])
def test_on_a_narrow_phone_the_dashboard_does_not_scroll_sideways(open_page: OpenPage, stack: Stack, view: str) -> None:
    page = open_page(width=360, height=740)
    dashboard = Dashboard(page, stack)
    dashboard.open(pair="BTC-USD", view=view)
    expect(page.locator(f"#{view}")).to_be_visible()

    assert overflow(page) == []


def test_on_a_narrow_phone_the_status_page_does_not_scroll_sideways(open_page: OpenPage, stack: Stack) -> None:
    page = open_page(width=360, height=740)
    open_status(page, stack, "auto")

    assert overflow(page) == []


def overflow(page: Page) -> list[str]:
    """What reaches beyond the right edge, if the page can be scrolled there."""
    found: list[str] = page.evaluate(
        """() => document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll("body *")]
          .filter(each => each.getBoundingClientRect().right > innerWidth)
          .map(each => `${each.tagName}#${each.id}.${each.className}`)"""
    )
    return found
