"""The table shows what REST has, to whoever cannot use a chart."""

from typing import Any

from playwright.sync_api import expect

from tests.browser.chromium import PATIENCE_SECONDS
from tests.browser.dashboard import Candle, Dashboard, opened
from tests.system.stack import wait_until


def rows(dashboard: Dashboard) -> list[dict[str, str]]:
    """The rows by their columns' names in small letters, without what only separates digits."""
    found: list[dict[str, str]] = dashboard.page.evaluate(
        """() => {
          const table = document.querySelector("#table");
          const heads = [...table.tHead.rows[0].cells].map(cell => cell.textContent.trim().toLowerCase());
          return [...table.tBodies[0].rows].map(row => Object.fromEntries(
            [...row.cells].map((cell, at) => [heads[at], cell.textContent.trim()])));
        }"""
    )
    return found


def as_row(candle: Candle) -> dict[str, Any]:
    """What has to be in a row of this candle; numbers by their value."""
    numbers = {name: float(candle[name]) for name in ("open", "high", "low", "close", "volume")}
    return {"time (utc)": opened(candle), "state": candle["state"], **numbers}


def read_row(row: dict[str, str]) -> dict[str, Any]:
    """A row of the page in the same form."""
    numbers = ("open", "high", "low", "close", "volume")
    plain = {name: "".join(letter for letter in row[name] if letter in "0123456789.") for name in numbers}
    return {
        "time (utc)": row["time (utc)"],
        "state": row["state"],
        **{name: float(text) for name, text in plain.items()},
    }


def test_the_table_has_the_newest_candles_as_rest_has_them(dashboard: Dashboard) -> None:
    dashboard.open(pair="BTC-USD", view="table")
    expect(dashboard.locator("#table")).to_be_visible()
    expect(dashboard.locator("#chart")).to_be_hidden()
    seen: list[Any] = []

    def equal() -> bool:
        shown = [read_row(row) for row in rows(dashboard)]
        served = dashboard.served(dashboard.candles()[-len(shown)]["timestamp"]) if shown else []
        seen[:] = [shown, [as_row(candle) for candle in reversed(served)]]
        return len(shown) >= 50 and seen[0] == seen[1]

    wait_until("the table has what REST has", equal, seconds=PATIENCE_SECONDS)

    assert seen[0] == seen[1]


def test_the_table_follows_the_market(dashboard: Dashboard) -> None:
    dashboard.open(pair="BTC-USD", view="table")
    expect(dashboard.locator("#table tbody tr")).not_to_have_count(0)
    before = rows(dashboard)[0]

    dashboard.page.wait_for_function(
        "before => document.querySelector('#table').tBodies[0].rows[0].textContent !== before",
        arg=dashboard.page.evaluate("() => document.querySelector('#table').tBodies[0].rows[0].textContent"),
    )

    assert rows(dashboard)[0] != before


def test_the_button_changes_between_chart_and_table(dashboard: Dashboard) -> None:
    dashboard.open(pair="BTC-USD")
    expect(dashboard.locator("#table")).to_be_hidden()

    dashboard.locator("#view").click()
    expect(dashboard.locator("#table")).to_be_visible()
    dashboard.locator("#view").click()

    expect(dashboard.locator("#table")).to_be_hidden()
    expect(dashboard.locator("#chart")).to_be_visible()
