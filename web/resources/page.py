"""Pages for people: made once, and loading nothing from anywhere."""

import base64
import hashlib
from pathlib import Path
from string import Template

import falcon

from web.params import expect_no_parameters
from web.resources.base import Resource

_FOLDER = Path(__file__).parent
_STYLE = (_FOLDER / "page.css").read_text(encoding="utf-8")


class Page(Resource):
    """A page that depends on settings alone, under a policy that lets it show itself and nothing else."""

    def __init__(self, template: str, **texts: str) -> None:
        """``template``: a file beside this one; ``texts``: what stands in its places, as HTML."""
        page = Template((_FOLDER / template).read_text(encoding="utf-8")).substitute(texts, style=_STYLE)
        self._page = page.encode()
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
