"""GET /static/…: modules, styles and the chart library of the dashboard."""

import falcon

from web import static_files
from web.resources.base import Resource, holds


class Static(Resource):
    """Files that were read when the process started."""

    def __init__(self) -> None:
        self._files = static_files.load()

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str = "") -> None:
        """Answer with a file, compressed for who takes that.

        Raises:
            HTTPNotFound: If there is none of this name.
        """
        file = self._files.get(name)
        if file is None:
            raise falcon.HTTPNotFound
        compressed = _takes_gzip(req)
        tag = file.gzipped_tag if compressed else file.plain_tag
        # Names do not change with their contents: whoever keeps a file asks whether it is still the same.
        resp.set_header("Cache-Control", "no-cache")
        resp.append_header("Vary", "Accept-Encoding")
        resp.etag = tag
        if holds(req, tag):
            resp.status = falcon.HTTP_304
            return
        if compressed:
            resp.set_header("Content-Encoding", "gzip")
        resp.content_type = file.content_type
        resp.data = file.gzipped if compressed else file.plain

    def on_head(self, req: falcon.Request, resp: falcon.Response, name: str = "") -> None:
        """Answer ``HEAD``: falcon drops the body and keeps its length."""
        self.on_get(req, resp, name)


def _takes_gzip(req: falcon.Request) -> bool:
    for part in (req.get_header("Accept-Encoding") or "").lower().split(","):
        coding, _, weight = part.partition(";")
        if coding.strip() == "gzip":
            return weight.strip() not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
