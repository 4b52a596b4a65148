"""The examples of the sections about candles over REST in docs/api.md, request by request."""

import re
from pathlib import Path

import pytest

from tests.integration.documented import shown_candles
from tests.unit.web.memory import Served

TEXT = (Path(__file__).parents[3] / "docs" / "api.md").read_text(encoding="utf-8")
SECTIONS = [TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0] for title in ("REST data", "Intervals")]
EXAMPLES = [
    block.split("\n\n", 1)
    for section in SECTIONS
    for block in re.findall(r"^```http\nGET (.*?)^```$", section, re.M | re.S)
]


def test_every_format_has_an_example() -> None:
    asked = {request.partition("format=")[2].partition("&")[0] for request, _ in EXAMPLES}

    assert asked == {"", "csv", "ndjson", "ccxt", "columns"}


@pytest.mark.parametrize(("request_", "answer"), EXAMPLES, ids=[request for request, _ in EXAMPLES])
def test_an_example_is_what_comes(request_: str, answer: str) -> None:
    served = Served()
    served.store.candles = shown_candles()
    path, _, query = request_.partition("?")

    got = served.get(path, query_string=query)

    assert (got.status_code, got.text.replace("\r\n", "\n").rstrip()) == (200, answer.rstrip())
