"""The market in Kraken's dialect (WebSocket v2, channel ``ohlc``): one connection, without a socket.

As the real one: a status frame first, an answer per symbol, a snapshot of up to twelve minutes without those that had
no trade, updates of the running candle only, a row ``timestamp`` that is the interval's end, and a heartbeat in each
second that has nothing else. The real reply to a second subscription and to broken JSON was never seen; the likeliest
is used. All times that a frame shows are market time.

Source: docs.kraken.com, WebSocket API v2, "OHLC", "Heartbeat", "Status", "Ping"; frames seen on the wire in 2026-09.
"""

import re
from typing import Final

import msgspec

from ingest.simulator.clock import MINUTE_MS
from ingest.simulator.listing import listed
from ingest.simulator.noise import draw, key_of
from ingest.simulator.schedule import Due, Schedule
from ingest.simulator.session import Market
from ingest.simulator.spelling import plain_number, rfc3339

PATH: Final = "/v2"

HEARTBEAT_MS: Final = 1_000
SNAPSHOT_MINUTES: Final = 12
#: A client that neither subscribes nor says anything is sent away.
IDLE_MS: Final = 60_000
#: Longest list of symbols in one request.
MAX_SYMBOLS: Final = 1_000

_INTERVAL_MINUTES: Final = 1
_HEARTBEAT: Final = '{"channel":"heartbeat"}'
_WARNINGS: Final = ("timestamp is deprecated, use interval_begin",)
_SYMBOL: Final = re.compile(r"\A[^/]+/[^/]+\Z")

_encoder = msgspec.json.Encoder(decimal_format="number")
_decoder = msgspec.json.Decoder(dict[str, object])


class KrakenSession:
    """One client's connection."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._schedule = Schedule(market.seed, market.updates_per_minute)
        self._subscribed: set[str] = set()
        self._sent_ms = self._received_ms = 0

    def opening(self, now_ms: int) -> list[str]:
        """The status frame."""
        self._sent_ms = self._received_ms = now_ms
        # Above 2^63, as on the wire: readers must cope.
        connection_id = 1 << 63 | draw(key_of(self._market.seed, "connection"), now_ms) << 31
        status = {
            "version": "2.0.10",
            "system": "online",
            "api_version": "v2",
            "connection_id": connection_id,
            "upcoming_maintenance": [],
            "emergency": [],
        }
        return [_encode({"channel": "status", "type": "update", "data": [status]})]

    def receive(self, message: str | bytes, now_ms: int) -> list[str]:
        """Replies to one message of the client. Total: never raises, whatever the message holds."""
        self._sent_ms = self._received_ms = now_ms
        times = self._times(now_ms)
        try:
            request = _decoder.decode(message)
        except (ValueError, RecursionError):
            return [_encode({"error": "Malformed request", "success": False, **times})]
        method = request.get("method")
        number = request.get("req_id")
        req_id = {"req_id": number} if type(number) is int and abs(number) < 1 << 63 else {}
        if method == "ping":
            return [_encode({"method": "pong", **req_id, "success": True, **times})]
        if method not in ("subscribe", "unsubscribe"):
            return [_encode({"error": "Method not supported", "success": False, **req_id, **times})]
        params = request.get("params")
        frames: list[str] = []
        for symbol in _symbols(params):
            frames += self._answer(method == "subscribe", params, symbol, {**req_id, **times}, now_ms)
        return frames or [_encode({"error": "Symbol(s) not found", "method": method, "success": False, **times})]

    def due(self, now_ms: int, limit: int) -> list[str]:
        """Frames whose time has come, in order; about ``limit`` at most, the rest stays due."""
        frames: list[str] = []
        market_ms = self._market.time.market_at(now_ms)
        while len(frames) < limit and (due := self._schedule.pop(market_ms)):
            frames += self._injected()
            frames += self._market.faults.disturb(_candles("update", [due], due.at_ms))
        if not frames and self._subscribed and now_ms - self._sent_ms >= HEARTBEAT_MS:
            frames = [_HEARTBEAT]
        if frames:
            self._sent_ms = now_ms
        return frames

    def next_due_ms(self) -> int | None:
        """When something will be due, wall time."""
        if not self._subscribed:
            return self._received_ms + IDLE_MS
        clock, market_ms = self._market.time.clock, self._schedule.next_ms()
        heartbeat_ms = self._sent_ms + HEARTBEAT_MS
        return heartbeat_ms if clock is None or market_ms is None else min(heartbeat_ms, clock.wall_at(market_ms))

    def expired(self, now_ms: int) -> bool:
        """Whether the client has neither subscribed nor said anything for a minute."""
        return not self._subscribed and now_ms - self._received_ms >= IDLE_MS

    def _answer(
        self, subscribing: bool, params: object, symbol: str, envelope: dict[str, object], now_ms: int
    ) -> list[str]:
        method = "subscribe" if subscribing else "unsubscribe"
        options = params if isinstance(params, dict) else {}
        refusal = self._refusal(subscribing, options, symbol)
        if refusal is not None:
            return [_encode({"error": refusal, "method": method, "success": False, "symbol": symbol, **envelope})]
        result: dict[str, object] = {"channel": "ohlc", "interval": _INTERVAL_MINUTES, "symbol": symbol}
        if not subscribing:
            self._subscribed.discard(symbol)
            self._schedule.remove(_pair(symbol))
            return [_encode({"method": method, "result": result, "success": True, **envelope})]
        wants_snapshot = options.get("snapshot", True) is True
        result |= {"snapshot": wants_snapshot, "warnings": _WARNINGS}
        snapshot = self._follow(symbol, now_ms)
        acknowledged = _encode({"method": method, "result": result, "success": True, **envelope})
        return [acknowledged, *snapshot] if wants_snapshot else [acknowledged]

    def _refusal(self, subscribing: bool, options: dict[str, object], symbol: str) -> str | None:
        if options.get("channel") != "ohlc":
            return "Channel not supported"
        if not _SYMBOL.match(symbol):
            return f"Currency pair not in ISO 4217-A3 format {symbol}"
        if "-" in symbol or listed(_pair(symbol)) is None:
            return f"Currency pair not supported {symbol}"
        if options.get("interval", _INTERVAL_MINUTES) != _INTERVAL_MINUTES:
            return "Interval not supported"
        if (symbol in self._subscribed) is subscribing:
            return "Already subscribed" if subscribing else "Subscription Not Found"
        return None

    def _follow(self, symbol: str, now_ms: int) -> list[str]:
        """Start the updates of a symbol and return its snapshot."""
        self._subscribed.add(symbol)
        clock = self._market.time.begin(now_ms)
        listing = listed(_pair(symbol))
        assert listing is not None
        if not listing.open:
            return []
        now = clock.market_at(now_ms)
        # The snapshot shows what was up to now, the updates what comes after; both from the market's first minute on.
        self._schedule.add(listing.pair, max(now, clock.opening_ms - 1), with_running=False)
        newest = now // MINUTE_MS * MINUTE_MS
        oldest = max(clock.opening_ms, newest - (SNAPSHOT_MINUTES - 1) * MINUTE_MS)
        rows = [
            row
            for timestamp in range(oldest, newest + 1, MINUTE_MS)
            if (row := self._schedule.running(listing.pair, timestamp, now))
        ]
        return [_candles("snapshot", rows, self._told_ms(now_ms))] if rows else []

    def _injected(self) -> list[str]:
        injected = self._market.faults.injected
        return [_encode(injected.popleft()) for _ in range(len(injected))]

    def _times(self, now_ms: int) -> dict[str, object]:
        now = rfc3339(self._told_ms(now_ms), 6)
        return {"time_in": now, "time_out": now}

    def _told_ms(self, now_ms: int) -> int:
        """Market time up to which this connection has been told everything.

        A reply can overtake updates that are due. Its time must not: whoever reads it knows all that came before.
        """
        market_ms, next_ms = self._market.time.market_at(now_ms), self._schedule.next_ms()
        return market_ms if next_ms is None else min(market_ms, next_ms - 1)


def _symbols(params: object) -> list[str]:
    symbols = params.get("symbol") if isinstance(params, dict) else None
    return [symbol for symbol in symbols if isinstance(symbol, str)][:MAX_SYMBOLS] if isinstance(symbols, list) else []


def _pair(symbol: str) -> str:
    return symbol.replace("/", "-")


def _candles(kind: str, dues: list[Due], at_ms: int) -> str:
    rows = ",".join(map(_row, dues))
    return f'{{"channel":"ohlc","type":"{kind}","timestamp":"{rfc3339(at_ms, 9)}","data":[{rows}]}}'


def _row(due: Due) -> str:
    open_, high, low, close, volume = map(plain_number, due.update.values)
    # By hand: the encoder cannot spell numbers as this exchange does.
    return (
        f'{{"symbol":"{due.pair.replace("-", "/")}","open":{open_},"high":{high},"low":{low},"close":{close},'
        f'"trades":{due.update.trades},"volume":{volume},"vwap":{plain_number(due.update.vwap)},'
        f'"interval_begin":"{rfc3339(due.timestamp, 9)}","interval":{_INTERVAL_MINUTES},'
        f'"timestamp":"{rfc3339(due.timestamp + MINUTE_MS, 6)}"}}'
    )


def _encode(body: dict[str, object]) -> str:
    return _encoder.encode(body).decode()
