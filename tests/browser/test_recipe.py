"""The recipe for browsers in docs/client.md, as it stands there, run in one."""

import re
from pathlib import Path
from typing import Any

import httpx

from tests.browser.chromium import PATIENCE_SECONDS
from tests.browser.conftest import OpenPage
from tests.browser.dashboard import NAMES
from tests.browser.test_live import NOT_CONNECTED
from tests.browser.watching import Watch
from tests.system.stack import Stack, wait_until

CLIENT = Path(__file__).resolve().parents[2] / "docs" / "client.md"
FIELDS = [name for name in NAMES if name != "minutes"]
ADDRESS = "ws://127.0.0.1:3004"

#: Tells one version of the newest candle from another.
_NEWEST = "() => JSON.stringify(recipe.get(Math.max(...recipe.keys())))"


def test_the_recipe_for_browsers_follows_a_pair_across_a_restart(
    open_page: OpenPage, stack: Stack, watches: list[Watch]
) -> None:
    recipes = re.findall(r"^```js\n(.*?)^```$", CLIENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(recipes) == 1
    assert ADDRESS in recipes[0]
    page = open_page()
    watches[0].expect(NOT_CONNECTED)

    page.evaluate(f"() => {{ {recipes[0].replace(ADDRESS, stack.ws_url)}\n globalThis.recipe = candles; }}")
    page.wait_for_function("() => recipe.size >= 60")
    stack.make("restart", "P=ws")
    before = page.evaluate(_NEWEST)
    page.wait_for_function(f"before => ({_NEWEST})() !== before", arg=before)

    seen: list[Any] = []

    def equal() -> bool:
        held = page.evaluate("() => [...recipe.values()].sort((a, b) => a.timestamp - b.timestamp)")
        answer = httpx.get(
            f"{stack.rest_url}/api/candles", params={"pair": "BTC-USD", "order": "asc", "from": held[0]["timestamp"]}
        )
        # Both as floats, as the recipe reads them; a minute's frames do not say that it is one.
        seen[:] = [
            [{name: each[name] for name in FIELDS} for each in rows] for rows in (held, answer.json()["candles"])
        ]
        return bool(seen[0] == seen[1])

    wait_until("the recipe has what REST has", equal, seconds=PATIENCE_SECONDS)
    assert len(seen[0]) >= 60
