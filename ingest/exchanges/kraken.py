"""Kraken WebSocket v2: the candles of its ``ohlc`` channel.

Pure translation: no socket, no clock, no logging. What a reader of the frames has to know:

* Symbols are ``BTC/USD`` (never ``XBT``), in upper case. One request subscribes many; each is answered by itself.
* A row's ``interval_begin`` is its open time. Its ``timestamp`` is the *end* of the interval, and deprecated.
* A snapshot lists up to a dozen recent candles, oldest first, without those of minutes that had no trade; its last
  row is the running candle. Updates describe the running candle only. There is no closed flag.
* Every data frame says when the server sent it, which is the best clock of the exchange there is.
* After a rejection the connection lives on and beats: heartbeats say nothing about data.
* ``connection_id`` of the status frame exceeds 2^63.

Example: ``{"channel":"ohlc","type":"update","timestamp":"2026-09-10T17:44:43.2Z","data":[{"symbol":"BTC/USDT",
"open":77400.0,"high":77445.8,"low":77400.0,"close":77416.3,"trades":15,"volume":0.25302078,"vwap":77416.2,
"interval_begin":"2026-09-10T17:32:00.000000000Z","interval":1,"timestamp":"2026-09-10T17:33:00.000000Z"}]}``

Source: docs.kraken.com, WebSocket API v2, "OHLC", "Heartbeat", "Status", "Ping"; frames seen on the wire in 2026-09.
"""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Annotated, Final

import msgspec

from ingest.candle import Interval, check_prices, check_timestamp
from ingest.errors import CandleError
from ingest.exchanges.base import (
    CandleUpdate,
    Event,
    Heartbeat,
    Invalid,
    KeepAlive,
    Origin,
    Rejected,
    Subscribed,
    shown,
)
from ingest.exchanges.timestamps import unix_ms

URL: Final = "wss://ws.kraken.com/v2"

#: With a subscription the server beats each second when it has nothing else to say.
SILENCE_SECONDS: Final = 10.0
#: Kraken closes a connection after about a minute without traffic.
PING_SECONDS: Final = 30.0

#: Keeps a request for a thousand symbols within a few KiB per frame.
SYMBOLS_PER_REQUEST: Final = 100

_RATE_LIMITS: Final = ("rate limit", "msg rate", "too many", "throttled", "eservice")


class _Frame(msgspec.Struct):
    # Any field may hold anything; what it must hold is checked where it is used.
    channel: object = None
    type: object = None
    method: object = None
    success: object = None
    error: object = None
    symbol: object = None
    timestamp: object = None
    time_out: object = None
    result: msgspec.Raw = msgspec.Raw(b"null")
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Result(msgspec.Struct):
    channel: str
    symbol: str


class _Row(msgspec.Struct):
    symbol: str
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    interval_begin: str
    interval: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]


_frame_decoder = msgspec.json.Decoder(_Frame)
_result_decoder = msgspec.json.Decoder(_Result)
# Rows are read one by one, so that a bad one costs only itself.
_rows_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_row_decoder = msgspec.json.Decoder(_Row)


class KrakenAdapter:
    """The Kraken v2 protocol at one address."""

    def __init__(self, url: str = URL) -> None:
        self.url = url
        self.origin: str | None = None
        self.silence_seconds = SILENCE_SECONDS
        self.keepalive: KeepAlive | None = KeepAlive('{"method":"ping"}', PING_SECONDS)

    def connect(self, pairs: Sequence[str], interval: Interval) -> "KrakenConnection":
        """Fresh state for a new connection that will follow ``pairs``."""
        return KrakenConnection(pairs, interval)


class KrakenConnection:
    """One connection: which pairs it asked for."""

    def __init__(self, pairs: Sequence[str], interval: Interval) -> None:
        self._pairs = {pair.replace("-", "/"): pair for pair in pairs}
        self._interval = interval
        self._interval_minutes = interval.milliseconds // 60_000

    def opening_frames(self) -> list[str]:
        """Requests for all pairs, a hundred to a frame."""
        symbols = list(self._pairs)
        return [
            msgspec.json.encode(
                {
                    "method": "subscribe",
                    "params": {
                        "channel": "ohlc",
                        "symbol": symbols[start : start + SYMBOLS_PER_REQUEST],
                        "interval": self._interval_minutes,
                        "snapshot": True,
                    },
                    "req_id": number,
                }
            ).decode()
            for number, start in enumerate(range(0, len(symbols), SYMBOLS_PER_REQUEST), start=1)
        ]

    def receive(self, frame: str | bytes) -> list[Event]:
        """Translate one frame. Total: never raises, whatever the frame holds."""
        try:
            message = _frame_decoder.decode(frame)
        except (ValueError, RecursionError) as error:
            return [Invalid(f"unreadable frame: {error!s:.150}")]
        match message.channel, message.method:
            case "ohlc", None:
                return self._candles(message)
            case "heartbeat" | "status", None:
                return [Heartbeat()]
            case None, "pong":
                return [Heartbeat(unix_ms(message.time_out))]
            case None, "subscribe":
                return [self._subscribed(message)]
            case None, "unsubscribe":
                return []
        if message.error is not None:
            return [_rejected(None, message.error)]
        return [Invalid(f"unknown channel {shown(message.channel)}, method {shown(message.method)}")]

    def _subscribed(self, message: _Frame) -> Event:
        if message.success is not True:
            pair = self._pairs.get(message.symbol) if isinstance(message.symbol, str) else None
            refusal = _rejected(pair, message.error)
            if pair is not None and refusal.reason.casefold().startswith("already subscribed"):
                return Subscribed(pair)
            return refusal
        try:
            result = _result_decoder.decode(message.result)
        except (ValueError, RecursionError) as error:
            return Invalid(f"acknowledgement: {error!s:.150}")
        if result.channel != "ohlc" or result.symbol not in self._pairs:
            return Invalid(f"acknowledgement of {shown(result.symbol)} on {shown(result.channel)}, not asked for")
        return Subscribed(self._pairs[result.symbol])

    def _candles(self, message: _Frame) -> list[Event]:
        if message.type not in ("snapshot", "update"):
            return [Invalid(f"unknown type {shown(message.type)} on channel 'ohlc'")]
        try:
            rows = _rows_decoder.decode(message.data)
        except (ValueError, RecursionError) as error:
            return [Invalid(f"data: {error!s:.150}")]
        events = [self._candle(row) for row in rows]
        if message.type == "snapshot":
            events = _mark_history(events)
        sent_ms = unix_ms(message.timestamp)
        # After its candles: the clock that it moves may close them.
        return events if sent_ms is None else [*events, Heartbeat(sent_ms)]

    def _candle(self, raw: msgspec.Raw) -> Event:
        try:
            row = _row_decoder.decode(raw)
            timestamp = unix_ms(row.interval_begin)
            if timestamp is None:
                raise CandleError("interval_begin", row.interval_begin, "a time such as 2026-09-10T17:32:00Z")
            if row.interval != self._interval_minutes:
                raise CandleError("interval", row.interval, f"{self._interval_minutes} minutes")
            if row.symbol not in self._pairs:
                raise CandleError("symbol", row.symbol, "one that was subscribed")
            check_timestamp(timestamp, self._interval)
            check_prices(row.open, row.high, row.low, row.close, row.volume)
        except (ValueError, RecursionError, CandleError) as error:
            return Invalid(f"candle: {error!s:.150}")
        return CandleUpdate(
            self._pairs[row.symbol], self._interval, timestamp, row.open, row.high, row.low, row.close, row.volume
        )


def _rejected(pair: str | None, error: object) -> Rejected:
    text = error if isinstance(error, str) else "no reason given"
    return Rejected(pair, text[:200], retryable=any(limit in text.casefold() for limit in _RATE_LIMITS))


def _mark_history(events: list[Event]) -> list[Event]:
    """Mark every candle but the newest of its pair as history: it is closed."""
    running: dict[str, int] = {}
    for event in events:
        if isinstance(event, CandleUpdate):
            running[event.pair] = max(event.timestamp, running.get(event.pair, 0))
    return [
        replace(event, origin=Origin.HISTORY)
        if isinstance(event, CandleUpdate) and event.timestamp < running[event.pair]
        else event
        for event in events
    ]
