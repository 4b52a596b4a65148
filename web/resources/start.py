"""GET /api: a page that lists what there is, with examples."""

from html import escape
from itertools import groupby

from web.endpoints import ENDPOINTS, Endpoint
from web.resources.page import Page
from web.settings import Settings


class Start(Page):
    """The start page; it asks nobody else for anything, and so answers whatever is away."""

    def __init__(self, settings: Settings) -> None:
        exchange = settings.exchange[0]
        pair = settings.configured[exchange][0]
        super().__init__(
            "start.html",
            pairs="\n".join(_pair(*each) for each in _followed(settings)),
            groups="\n".join(
                _group(name, list(them), exchange, pair) for name, them in groupby(ENDPOINTS, lambda each: each.group)
            ),
            pair=escape(pair),
            exchange=escape(exchange),
            ws_port=str(settings.ws_port),
        )


def _followed(settings: Settings) -> list[tuple[str, str]]:
    return [(exchange, pair) for exchange, pairs in settings.configured.items() for pair in pairs]


def _pair(exchange: str, pair: str) -> str:
    target = f"/api/ohlcv?pair={pair}&exchange={exchange}&limit=10"
    return (
        f'<tr><td>{escape(exchange)}</td><td>{escape(pair)}</td><td><a href="{escape(target)}">newest ten candles</a>,'
        f' <a href="{escape(target)}&amp;format=csv">as CSV</a></td></tr>'
    )


def _group(name: str, endpoints: list[Endpoint], exchange: str, pair: str) -> str:
    rows = "\n".join(
        f'<tr><td><a href="{escape(each.example_of(exchange, pair))}">{escape(each.path)}</a></td>'
        f"<td>{escape(each.summary)}</td></tr>"
        for each in endpoints
    )
    return f'<tr class="group"><th scope="rowgroup" colspan="2">{escape(name)}</th></tr>\n{rows}'
