"""History read over REST, again and again, while candles are being written."""

import itertools
import time
from collections.abc import Sequence
from typing import Any, Final

import httpx

from tests.chaos.taps.tap import Tap
from tests.chaos.versions import parse_exact

#: So small that a walk takes several answers, between which writes go on.
_ROWS: Final = 50
_MOST_ANSWERS: Final = 4
_ANSWER_SECONDS: Final = 6.0
#: What one program may have kept waiting; REST promises an answer or a refusal in five.
_SERVED: Final = 200


class Pager(Tap):
    """Walks through pairs in turn; the answers of a walk, joined, are one page."""

    pause_seconds = 0.25

    def __init__(self, url: str, pairs: Sequence[str]) -> None:
        super().__init__()
        self._client = httpx.Client(base_url=url, timeout=_ANSWER_SECONDS)
        self._turns = itertools.cycle(pairs)
        self.pages: list[list[dict[str, Any]]] = []

    def look(self) -> None:
        """Walk once; a server that is away, or says that its store is, ends the walk."""
        rows: list[dict[str, Any]] = []
        path: str | None = f"/api/ohlcv?pair={next(self._turns)}&limit={_ROWS}"
        try:
            for _ in range(_MOST_ANSWERS):
                if path is None or self.stopping:
                    break
                answer = self._client.get(path)
                if answer.status_code != _SERVED:
                    break
                rows += parse_exact(answer.content)
                path = answer.links.get("next", {}).get("url")
        except httpx.HTTPError:
            time.sleep(0.1)
        if rows:
            self.pages.append(rows)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
