"""The status page says how the service is."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import PAIRS, OpenPage
from tests.browser.test_live import stopped
from tests.browser.watching import Watch
from tests.system.stack import Stack


def test_it_names_every_feed_and_every_series(open_page: OpenPage, stack: Stack) -> None:
    page = open_page()

    page.goto(f"{stack.rest_url}/status")

    for exchange in ("sim", "simkraken"):
        expect(page.locator("#feeds")).to_contain_text(exchange)
    for pair in PAIRS:
        expect(page.locator("#series")).to_contain_text(pair)
    expect(page.locator("#feeds")).to_contain_text("live", ignore_case=True)


def test_it_says_by_itself_that_a_feed_is_silent_and_that_it_is_back(
    open_page: OpenPage, stack: Stack, watches: list[Watch]
) -> None:
    page = open_page()
    # /health answers 503 then, which a browser calls a failure to load.
    watches[0].expect(r"^error: Failed to load resource: .*503")
    page.goto(f"{stack.rest_url}/status")
    feeds = page.locator("#feeds")
    expect(feeds).to_contain_text("live", ignore_case=True)

    with stopped(stack, "ingest"):
        expect(feeds).to_contain_text("stale", ignore_case=True)

    expect(feeds).not_to_contain_text("stale", ignore_case=True)


def test_it_names_stages_and_programs_and_says_when_one_is_silent(
    open_page: OpenPage, stack: Stack, watches: list[Watch]
) -> None:
    page = open_page()
    page.goto(f"{stack.rest_url}/status")
    stages, programs = page.locator("#stages"), page.locator("#programs")

    for stage in ("persist", "fanout", "rollup", "rollup-live"):
        expect(stages.get_by_role("row", name=re.compile(rf"^{stage} ")).locator(".badge")).to_have_text("works")
    expect(stages).to_contain_text("Dead letters")
    for program in ("bridge-persist", "workers-fanout", "ws"):
        expect(programs).to_contain_text(program)
    with stopped(stack, "bridge-rollup"):
        expect(stages).to_contain_text("nobody runs it", timeout=30_000)
        expect(programs).to_contain_text("silent")

    expect(stages).not_to_contain_text("nobody runs it")
