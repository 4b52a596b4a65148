"""A real Chromium, driven by Playwright: the machine's, or the one that the set-up of the tests unpacked."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

from deploy.native import chromium, downloads

#: Without a sandbox, which root cannot have, and without asking anybody for updates.
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")

#: How long any single condition is awaited: what takes a second here takes ten where tests run side by side.
PATIENCE_SECONDS = 45


@contextmanager
def launched(scale: float = 1) -> Iterator[Browser]:
    """A browser without a window.

    Args:
        scale: Device pixels per CSS pixel. A canvas does not see what Playwright alone pretends, and would be blurred.

    Raises:
        AssertionError: If there is none; `make test` and `make screenshots` fetch it.
    """
    found = chromium.find(downloads.cache_dir())
    assert found is not None, "Chromium is missing: `make test` fetches it"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in found.variables.items():
            patch.setenv(name, value)  # Playwright's own program needs them as well
        with sync_playwright() as playwright:
            arguments = [*ARGUMENTS, f"--force-device-scale-factor={scale:g}"]
            yield playwright.chromium.launch(executable_path=found.executable, args=arguments, headless=True)
