"""What every resource does."""

from abc import ABC, abstractmethod

import falcon

from web.formats import encode_json


class Resource(ABC):
    """A resource that can be read; ``HEAD`` is the same without the body, ``OPTIONS`` comes from falcon."""

    @abstractmethod
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer ``GET``."""

    def on_head(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer ``HEAD``: falcon drops the body and keeps its length."""
        self.on_get(req, resp)


def holds(req: falcon.Request, tag: str) -> bool:
    """Whether the client already holds what has this tag."""
    held = req.if_none_match or []
    return "*" in held or tag in held


def write_json(resp: falcon.Response, value: object, *, cache: str = "no-cache") -> None:
    """Fill the response with JSON; ``cache`` is its ``Cache-Control``."""
    write_json_bytes(resp, encode_json(value), cache=cache)


def write_json_bytes(resp: falcon.Response, body: bytes, *, cache: str = "no-cache") -> None:
    """Fill the response with JSON that has been encoded already."""
    resp.content_type = falcon.MEDIA_JSON
    resp.set_header("Cache-Control", cache)
    resp.data = body
