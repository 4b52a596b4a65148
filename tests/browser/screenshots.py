"""Pictures of the pages for the documents: `make screenshots` writes docs/img/*.png, from a stack of its own."""

import sys
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.browser.chromium import launched
from tests.browser.dashboard import Dashboard, painted, wait_for_status
from tests.browser.market import running_market
from tests.system.stack import ROOT, Stack

PORT_OFFSET = 2_500
FOLDER = ROOT / "docs" / "img"
PAIRS = ("BTC-USD", "BTC-EUR", "ETH-USD", "ETH-EUR")

_DASHBOARD = "/?exchange=sim&pair=BTC-USD&interval=5m"


@dataclass(frozen=True)
class Picture:
    """A page, and the window that it is seen in (CSS pixels)."""

    name: str
    path: str
    width: int = 1280
    height: int = 800
    #: Device pixels per CSS pixel.
    scale: float = 1


PICTURES = (
    Picture("light", f"{_DASHBOARD}&theme=light"),
    Picture("dark", f"{_DASHBOARD}&theme=dark"),
    Picture("table", f"{_DASHBOARD}&theme=light&view=table"),
    Picture("phone", f"{_DASHBOARD}&theme=light", width=360, height=800, scale=2),
    Picture("status", "/status"),
)


def take(picture: Picture, browser: Browser, stack: Stack) -> Path:
    """Write one picture, once the page is live and shows all it has; returns the file."""
    context = browser.new_context(
        viewport={"width": picture.width, "height": picture.height},
        device_scale_factor=picture.scale,
        color_scheme="light",
    )
    page = context.new_page()
    page.goto(stack.rest_url + picture.path)
    if picture.path.startswith("/?"):
        Dashboard(page, stack).wait_until_live()
        expect(page.locator("#overview [data-pair]")).to_have_count(len(PAIRS))
        expect(page.locator("#overview [data-pair] svg")).to_have_count(len(PAIRS))
        if "view=table" in picture.path:
            # It is written a moment after the candles have come.
            expect(page.locator("#table tbody tr")).not_to_have_count(0)
    else:
        wait_for_status(page)
    painted(page)
    file = FOLDER / f"{picture.name}.png"
    page.screenshot(path=file, animations="disabled")
    context.close()
    return file


def main() -> int:
    """Take all of them, and say where they are and how large."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    past = {"SIM_START": "-20h", "PAIRS": ",".join(PAIRS)}
    with running_market("screenshots", PORT_OFFSET, **past) as stack:
        for picture in PICTURES:
            with launched(picture.scale) as browser:
                file = take(picture, browser, stack)
            print(f"  {file.relative_to(ROOT)}  {file.stat().st_size / 1024:.0f} KiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
