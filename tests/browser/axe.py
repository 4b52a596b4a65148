"""axe-core: what in a page keeps people from using it."""

from importlib.resources import files
from typing import Any

from playwright.sync_api import Page

_SCRIPT = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")


def violations(page: Page) -> list[str]:
    """Each rule that the page breaks, with the elements that break it.

    Raises:
        AssertionError: If fewer rules applied than any page has to do with: nothing was looked at.
    """
    page.evaluate(_SCRIPT)
    found: dict[str, Any] = page.evaluate("() => axe.run()")
    assert len(found["passes"]) >= 10, found
    return [
        f"{rule['id']} ({rule['impact']}): {rule['help']}: {[node['html'][:200] for node in rule['nodes']][:5]}"
        for rule in found["violations"]
    ]
