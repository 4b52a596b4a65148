"""What is shown stands in the address: chosen, shared, gone back to."""

from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.dashboard import Dashboard
from tests.system.stack import Stack


def query(dashboard: Dashboard) -> dict[str, str]:
    """What stands in the page's address."""
    return {name: values[-1] for name, values in parse_qs(urlsplit(dashboard.page.url).query).items()}


def wait_until_selected(dashboard: Dashboard, **wanted: str) -> None:
    """Wait until the page shows this, live."""
    dashboard.page.wait_for_function(
        "wanted => Object.entries(wanted).every(([name, value]) => cryptoStreams.selection()[name] === value)",
        arg=wanted,
    )
    dashboard.wait_until_live()


def test_another_pair_is_shown_and_the_way_back_leads_to_the_first(dashboard: Dashboard) -> None:
    dashboard.open(pair="BTC-USD")
    first = dashboard.wait_until_equal(at_least=300)

    dashboard.locator("#pair").select_option("ETH-EUR")
    wait_until_selected(dashboard, pair="ETH-EUR")
    other = dashboard.wait_until_equal(at_least=300)
    there = query(dashboard)
    dashboard.page.go_back()
    wait_until_selected(dashboard, pair="BTC-USD")
    again = dashboard.wait_until_equal(at_least=300)

    assert there["pair"] == "ETH-EUR"
    assert query(dashboard)["pair"] == "BTC-USD"
    assert again[: len(first) - 2] == first[:-2]
    assert {each["close"] for each in other}.isdisjoint(each["close"] for each in first)


@pytest.mark.parametrize(("interval", "minutes"), [("5m", 5), ("1h", 60), ("1d", 1440)])
def test_a_larger_interval_is_shown_as_rest_has_it(dashboard: Dashboard, interval: str, minutes: int) -> None:
    dashboard.open(pair="BTC-USD")

    dashboard.locator("#interval").select_option(interval)
    wait_until_selected(dashboard, interval=interval)

    candles = dashboard.wait_until_equal()
    assert {int(each["timestamp"]) % (minutes * 60_000) for each in candles} == {0}
    assert all(1 <= int(each["minutes"]) <= minutes for each in candles)
    dashboard.wait_for_change()


def test_another_exchange_is_shown_with_its_own_pairs(dashboard: Dashboard) -> None:
    dashboard.open(exchange="sim", pair="ETH-EUR")

    dashboard.locator("#exchange").select_option("simkraken")
    wait_until_selected(dashboard, exchange="simkraken")

    assert dashboard.selection()["pair"] == "BTC-USD"
    expect(dashboard.locator("#pair option")).to_have_text(["BTC-USD"])
    dashboard.wait_until_equal()
    expect(dashboard.locator("#simulated")).to_be_visible()


def test_a_shared_address_shows_the_same(dashboard: Dashboard, open_page: OpenPage, stack: Stack) -> None:
    chosen = {"exchange": "sim", "pair": "ETH-EUR", "interval": "15m", "theme": "dark", "view": "table"}
    dashboard.open(pair="BTC-USD")
    dashboard.locator("#pair").select_option("ETH-EUR")
    dashboard.locator("#interval").select_option("15m")
    dashboard.locator("#view").click()
    dashboard.repeat(dashboard.locator("#theme").click, until=lambda: dashboard.selection()["theme"] == "dark")
    wait_until_selected(dashboard, **chosen)

    other = Dashboard(open_page(), stack)
    other.page.goto(dashboard.page.url)
    other.wait_until_live()
    dashboard.page.reload()
    dashboard.wait_until_live()

    assert other.selection() == dashboard.selection() == chosen
    assert other.page.locator("#table").is_visible()


def test_what_cannot_be_shown_is_said_and_something_else_is_shown(dashboard: Dashboard) -> None:
    dashboard.open(pair="DOGE-XYZ", interval="7m", theme="pink")

    assert dashboard.selection() | {"theme": ""} == {
        "exchange": "sim",
        "pair": "BTC-USD",
        "interval": "1m",
        "theme": "",
        "view": "chart",
    }
    expect(dashboard.locator("main")).to_contain_text("DOGE-XYZ")


def test_a_link_of_the_overview_shows_its_pair(dashboard: Dashboard) -> None:
    dashboard.open(pair="BTC-USD")
    links = dashboard.locator("#overview [data-pair]")
    expect(links).to_have_count(3)

    dashboard.locator('#overview [data-pair="ETH-EUR"]').click()
    wait_until_selected(dashboard, pair="ETH-EUR")

    dashboard.wait_until_equal()
    assert query(dashboard)["pair"] == "ETH-EUR"
