"""GET / and /status: the dashboard, pages that a script fills, and what it has to know of this server."""

import re
from pathlib import Path
from string import Template
from typing import Any, Final

import falcon
import msgspec

from ingest.candle import Interval
from ingest.exchanges import SIMULATED
from web.resources.base import Resource
from web.settings import Settings
from web.static_files import DASHBOARD

#: A host that may stand in a policy: a name or an IPv4 address. A policy has no form for IPv6 addresses.
_HOST: Final = re.compile(r"\A[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?\Z")


class DashboardPage(Resource):
    """A page of the dashboard; it depends on settings alone, its policy on how the server is reached as well."""

    def __init__(self, template: str, settings: Settings) -> None:
        """``template``: a page in the dashboard's folder."""
        text = (DASHBOARD / template).read_text(encoding="utf-8")
        notice = Path(DASHBOARD / "vendor/lightweight-charts/NOTICE").read_text(encoding="utf-8")
        self._page = Template(text).substitute(config=_config(settings), notice=notice.split(" http")[0]).encode()
        self._settings = settings

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with the page. What the query says is for the page's script, so that a view can be shared."""
        resp.content_type = falcon.MEDIA_HTML
        resp.set_header("Content-Security-Policy", policy(self._socket(req)))
        resp.set_header("Cache-Control", "no-cache")
        resp.data = self._page

    def _socket(self, req: falcon.Request) -> str:
        """Where scripts may open a WebSocket."""
        if self._settings.ws_public_url:
            return self._settings.ws_public_url
        host = req.host if _HOST.match(req.host) else "*"
        # A page that came over TLS connects over TLS, which this allows as well.
        return f"ws://{host}:{self._settings.ws_port}"


def policy(socket: str) -> str:
    """The content security policy of both pages; ``socket``: the WebSocket server's address.

    No script, style or request of anybody else, none inline, and no text is ever taken for markup.
    """
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        f"connect-src 'self' {socket}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _config(settings: Settings) -> str:
    """What a script must know before it asks for anything, as JSON that may stand in a page."""
    config: dict[str, Any] = {
        "wsUrl": settings.ws_public_url,
        "wsPort": settings.ws_port,
        "pairs": settings.configured,
        "intervals": {interval.value: interval.milliseconds for interval in Interval},
        "simulated": sorted(SIMULATED),
        "liveWindow": settings.live_window,
        "maxSubscriptions": settings.ws_max_subscriptions,
        "maxCandleAgeMs": settings.max_candle_age_seconds * 1000,
    }
    # "</script>" would end the block it stands in.
    return msgspec.json.encode(config).decode().replace("<", "\\u003c")
