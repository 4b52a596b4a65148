"""GET /docs, /openapi.json, /asyncapi.json: what there is, to people and to programs."""

import falcon
import msgspec

from web import docs, openapi
from web.params import expect_no_parameters
from web.resources.base import Resource, write_json_bytes
from web.resources.page import Page
from web.settings import Settings
from web.ws import asyncapi

#: What a server listens on that listens everywhere, and nobody can connect to.
_EVERYWHERE = frozenset({"0.0.0.0", "::"})


class Description(Resource):
    """A document that describes an API; made once."""

    def __init__(self, document: object) -> None:
        self._body = msgspec.json.encode(document)

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with the document."""
        expect_no_parameters(req.params)
        write_json_bytes(resp, self._body)


class OpenApi(Description):
    """The REST API."""

    def __init__(self) -> None:
        super().__init__(openapi.document())


class AsyncApi(Description):
    """The WebSocket server."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(asyncapi.document(_socket_host(settings)))


class Docs(Page):
    """Both as a page."""

    def __init__(self, settings: Settings) -> None:
        super().__init__("docs.html", body=docs.render(openapi.document(), asyncapi.document(_socket_host(settings))))


def _socket_host(settings: Settings) -> str:
    host = "localhost" if settings.bind_host in _EVERYWHERE else settings.bind_host
    return f"[{host}]:{settings.ws_port}" if ":" in host else f"{host}:{settings.ws_port}"
