"""What TradingView's UDF adapter and its charts do, as far as a server can see it.

The requests, and how their answers are read, follow ``datafeeds/udf`` of TradingView's charting library: the body is
read whatever the status is, anything but ``ok`` and ``no_data`` is an error, and a chart that is told ``no_data``
without ``nextTime`` never asks for older bars again.
"""

import json
import time
from typing import Any, NamedTuple

import httpx


class Bar(NamedTuple):
    """A bar as a chart holds it; ``time`` in seconds."""

    time: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class UdfError(Exception):
    """What the chart would show its user."""


class UdfAdapter:
    """One chart's connection to a server."""

    def __init__(self, client: httpx.Client, base: str = "/udf") -> None:
        self._client, self._base = client, base
        self.config: dict[str, Any] = {}

    def on_ready(self) -> None:
        """Ask for the configuration; the adapter throws on one that it cannot use."""
        self.config = self._send("config")
        assert self.config["supports_search"] or self.config["supports_group_request"]

    def search(self, text: str, exchange: str = "", kind: str = "") -> list[dict[str, Any]]:
        """What the search dialogue shows."""
        found = self._send("search", limit=30, query=text.upper(), type=kind, exchange=exchange)
        if not isinstance(found, list):
            raise UdfError(found["errmsg"])
        return found

    def resolve(self, symbol: str) -> dict[str, Any]:
        """How to draw a symbol."""
        assert not self.config["supports_group_request"]
        answer: dict[str, Any] = self._send("symbols", symbol=symbol)
        if "s" in answer:
            raise UdfError("unknown_symbol")
        return answer

    def server_time(self) -> int:
        """Seconds; only asked where it is promised."""
        assert self.config["supports_time"]
        return int(self._send("time"))

    def get_bars(
        self, ticker: str, since: int, until: int, countback: int | None, resolution: str = "1"
    ) -> tuple[list[Bar], dict[str, Any]]:
        """Bars, and what the answer says about their absence."""
        assert resolution in self.config["supported_resolutions"]
        parameters = {"symbol": ticker, "resolution": resolution, "from": since, "to": until}
        if countback is not None:
            parameters["countback"] = countback
        answer = self._send("history", **parameters)
        if answer["s"] not in ("ok", "no_data"):
            raise UdfError(answer["errmsg"])
        if answer["s"] == "no_data":
            return [], {"noData": True, "nextTime": answer.get("nextTime")}
        columns = zip(*(answer[name] for name in "tohlcv"), strict=True)
        return [Bar(row[0], *map(float, row[1:])) for row in columns], {"noData": False}

    def poll(self, ticker: str, resolution: str = "1") -> list[Bar]:
        """What the adapter does every ten seconds: the last two bars."""
        now = int(time.time())
        return self.get_bars(ticker, now - 10 * seconds_of(resolution), now, 2, resolution)[0]

    def _send(self, path: str, **parameters: object) -> Any:
        query = {name: str(value) for name, value in parameters.items()}
        return json.loads(self._client.get(f"{self._base}/{path}", params=query).text)


def seconds_of(resolution: str) -> int:
    """The length of a bar."""
    return 86_400 if resolution == "1D" else int(resolution) * 60


def scroll_back(
    adapter: UdfAdapter, ticker: str, until: int, width: int, countback: int | None, resolution: str = "1"
) -> list[list[Bar]]:
    """Ask for older and older bars, as a chart that is dragged to the right, until told that none are left."""
    chunks: list[list[Bar]] = []
    length = seconds_of(resolution)
    since = until - width * length
    for _ in range(100):
        bars, meta = adapter.get_bars(ticker, since, until, countback, resolution)
        if bars:
            chunks.append(bars)
            until = bars[0].time
        elif meta["nextTime"] is None:
            return chunks
        else:
            assert meta["nextTime"] < since, "the chart would ask for the same range for ever"
            until = meta["nextTime"] + length
        since = until - width * length
    raise AssertionError("the chart never stops asking")
