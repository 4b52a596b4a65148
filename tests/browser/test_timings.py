"""How fast the dashboard is: printed after the tests, and judged by people, since machines that run tests are busy."""

import statistics
from collections.abc import Callable

from tests.browser.dashboard import Dashboard

#: What a visitor should get; it stands beside what was measured.
FIRST_PAINT_MARK_MS, DELAY_MARK_MS = 1000, 100
VISITS = 5
#: So many changes at least, so that a percentile means something.
CHANGES = 40


def test_first_paint(dashboard: Dashboard, measured: Callable[[str], None]) -> None:
    paints = []
    for _ in range(VISITS):
        dashboard.page.goto("about:blank")
        dashboard.open(pair="BTC-USD")
        paints.append(
            dashboard.page.evaluate("() => performance.getEntriesByName('first-contentful-paint')[0].startTime")
        )

    assert min(paints) > 0
    measured(
        f"first paint of the dashboard: median of {VISITS} {statistics.median(paints):.0f} ms, "
        f"slowest {max(paints):.0f} ms (mark: {FIRST_PAINT_MARK_MS} ms)"
    )


def test_from_frame_to_screen(onlooker: Dashboard, measured: Callable[[str], None]) -> None:
    onlooker.page.wait_for_function("count => cryptoStreams.delays().length >= count", arg=CHANGES, timeout=120_000)

    delays = sorted(onlooker.page.evaluate("() => cryptoStreams.delays()"))

    assert delays[0] >= 0
    p50, p99 = (delays[min(len(delays) - 1, int(len(delays) * part))] for part in (0.5, 0.99))
    measured(
        f"frame received to candle painted: p50 {p50:.0f} ms, p99 {p99:.0f} ms, slowest {delays[-1]:.0f} ms "
        f"of {len(delays)} (mark: p99 {DELAY_MARK_MS} ms)"
    )
