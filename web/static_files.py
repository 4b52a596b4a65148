"""The files of the dashboard, read once: what a request names is looked up among them, and never opened.

So no path leads out of the folder, whatever is in it; and an answer costs no more than its bytes.
"""

import gzip
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple

DASHBOARD: Final = Path(__file__).parent / "dashboard"

#: What is served, by suffix. Others are not: pages (``.html``) are templates, with paths of their own.
_CONTENT_TYPES: Final = {
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    # LICENSE, NOTICE, SHA256SUMS
    "": "text/plain; charset=utf-8",
}


class StaticFile(NamedTuple):
    """A file as it is answered, plain and compressed, each with a tag of its own as they are different bytes."""

    content_type: str
    plain: bytes
    plain_tag: str
    gzipped: bytes
    gzipped_tag: str


def load(folder: Path = DASHBOARD) -> Mapping[str, StaticFile]:
    """Every file below a folder that is served, by its path within the folder."""
    return {
        path.relative_to(folder).as_posix(): _read(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix in _CONTENT_TYPES and not path.name.startswith(".")
    }


def _read(path: Path) -> StaticFile:
    plain = path.read_bytes()
    # Without the time of compression, so that all processes give the same bytes the same tag.
    gzipped = gzip.compress(plain, mtime=0)
    return StaticFile(_CONTENT_TYPES[path.suffix], plain, _tag(plain), gzipped, _tag(gzipped))


def _tag(body: bytes) -> str:
    return blake2b(body, digest_size=16).hexdigest()
