"""GET /: a page that lists what there is, with examples; it asks nobody else for anything."""

import base64
import hashlib
from html import escape
from pathlib import Path
from string import Template

import falcon

from web.params import expect_no_parameters
from web.resources.base import Resource
from web.settings import Settings

_TEMPLATE = Template((Path(__file__).parent / "start.html").read_text())
_STYLE = (Path(__file__).parent / "start.css").read_text()


class Start(Resource):
    """The start page; made once, because it depends on settings alone."""

    def __init__(self, settings: Settings) -> None:
        self._page = _render(settings).encode()
        style_hash = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
        self._policy = (
            f"default-src 'none'; style-src 'sha256-{style_hash}'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with the page."""
        expect_no_parameters(req.params)
        resp.content_type = falcon.MEDIA_HTML
        resp.set_header("Content-Security-Policy", self._policy)
        resp.set_header("Cache-Control", "no-cache")
        resp.data = self._page


def _render(settings: Settings) -> str:
    rows = [
        f'<tr><td>{escape(exchange)}</td><td>{escape(pair)}</td><td><a href="/api/ohlcv?pair={escape(pair)}&amp;'
        f'exchange={escape(exchange)}&amp;limit=10">newest ten candles</a></td></tr>'
        for exchange, pairs in settings.configured.items()
        for pair in pairs
    ]
    return _TEMPLATE.substitute(
        style=_STYLE,
        rows="\n".join(rows),
        pair=escape(settings.configured[settings.exchange[0]][0]),
        exchange=escape(settings.exchange[0]),
        ws_port=settings.ws_port,
    )
