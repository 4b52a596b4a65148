"""What the chart shows is what REST has, also of the past."""

from playwright.sync_api import Route, expect

from tests.browser.dashboard import Dashboard, painted
from tests.system.stack import Stack

#: Pixels of the pane of prices, the largest: how many there are, and how many are of a strong colour, by hue in sixths
#: of the circle. Grid and letters are grey.
_PAINT = """() => {
  const area = canvas => canvas.width * canvas.height;
  const canvases = [...document.querySelectorAll("#chart canvas")];
  const largest = Math.max(...canvases.map(area));
  const hues = [0, 0, 0, 0, 0, 0];
  // One above the other: candles, and the crosshair.
  for (const canvas of canvases.filter(each => area(each) === largest)) {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    for (let at = 0; at < data.length; at += 4) {
      const [red, green, blue] = [data[at], data[at + 1], data[at + 2]];
      const most = Math.max(red, green, blue), spread = most - Math.min(red, green, blue);
      if (data[at + 3] < 128 || spread < 60) continue;
      const hue = most === red ? green - blue : most === green ? blue - red + 2 * spread : red - green + 4 * spread;
      hues[Math.floor((hue / spread + 6) % 6)] += 1;
    }
  }
  return { pixels: largest, hues };
}"""


def test_candles_are_painted_in_two_colours_and_are_those_of_rest(dashboard: Dashboard) -> None:
    dashboard.open(pair="BTC-USD")

    dashboard.wait_until_equal(at_least=300)
    paint = dashboard.page.evaluate(_PAINT)

    strong = [hue for hue in paint["hues"] if hue > paint["pixels"] / 500]
    assert len(strong) >= 2, paint


def test_a_candle_that_changes_over_rest_changes_on_the_page(dashboard: Dashboard) -> None:
    dashboard.open(pair="BTC-USD")
    begin = dashboard.wait_until_equal()[-1]["timestamp"]
    before = dashboard.served(begin)[-1]["rev"]

    dashboard.page.wait_for_function(
        "before => BigInt(cryptoStreams.candles().at(-1).rev) > BigInt(before)", arg=before
    )

    after = dashboard.wait_until_equal()[-1]
    assert int(after["rev"]) > int(before)
    expect(dashboard.locator("#price")).to_contain_text(after["close"].rpartition(".")[2])


def test_scrolling_back_loads_older_candles_and_moves_nothing(dashboard: Dashboard) -> None:
    held: list[Route] = []
    dashboard.page.route(lambda url: "/api/candles" in url and "page=" in url, lambda route: held.append(route))
    dashboard.open(pair="ETH-EUR")
    before = dashboard.wait_until_equal(at_least=300)
    x, y = middle_of_the_chart(dashboard)

    # Until the page asks for what is older.
    dashboard.repeat(lambda: dashboard.page.mouse.wheel(-400, 0), until=lambda: held)
    dashboard.page.mouse.move(x + 1, y)
    seen = dashboard.locator("#legend").inner_text()
    held.pop().continue_()
    dashboard.wait_for_more(len(before))
    painted(dashboard.page)
    dashboard.page.mouse.move(x, y)
    dashboard.page.mouse.move(x + 1, y)

    after = dashboard.wait_until_equal()
    assert dashboard.locator("#legend").inner_text() == seen
    assert int(after[0]["timestamp"]) < int(before[0]["timestamp"])


def test_all_of_the_past_can_be_reached(dashboard: Dashboard, stack: Stack) -> None:
    dashboard.open(pair="ETH-EUR")
    pairs = stack.get("/api/pairs")
    earliest = next(
        each["earliest"]
        for each in pairs
        if (each["exchange"], each["pair"], each["interval"]) == ("sim", "ETH-EUR", "1m")
    )

    middle_of_the_chart(dashboard)
    dashboard.repeat(
        lambda: dashboard.page.mouse.wheel(-2000, 0),
        until=lambda: dashboard.candles()[0]["timestamp"] == str(earliest),
    )

    dashboard.wait_until_equal(at_least=600)


def middle_of_the_chart(dashboard: Dashboard) -> tuple[float, float]:
    """Move the mouse there; returns its place."""
    box = dashboard.locator("#chart").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 3
    dashboard.page.mouse.move(x, y)
    return x, y
