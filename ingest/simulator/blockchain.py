"""The market in Blockchain.com's dialect: one connection, without a socket.

As the real one: a sequence number on every frame, one acknowledgement per symbol, never a snapshot of prices, the first
update two seconds after the acknowledgement, small sizes in scientific notation, no frame for a minute without
trades, and its own texts for what it refuses. Where the real wording was never seen (an unknown symbol or a bad
granularity on ``prices``), the likeliest is used. ``trades``, ``ticker``, ``l2`` and ``l3`` are acknowledged and then
silent, as ``trades`` has been since the exchange suspended trading.

Source: blockchain/docs-exchange-api, "Anonymous channels" (2020-07); frames seen on the wire in 2020, 2022 and 2026.
"""

from collections import deque
from decimal import Decimal
from typing import Final

import msgspec

from ingest.simulator.clock import FIRST_UPDATE_MS
from ingest.simulator.listing import Listed, listed, pairs
from ingest.simulator.schedule import Due, Schedule
from ingest.simulator.session import Market
from ingest.simulator.spelling import java_number, rfc3339

PATH: Final = "/mercury-gateway/v1/ws"
ORIGIN: Final = "https://exchange.blockchain.com"
#: The server sends a protocol ping so often, and wants nothing of its clients but the pong.
PING_SECONDS: Final = 1.02

HEARTBEAT_MS: Final = 5_000
GRANULARITY: Final = 60

MAX_MESSAGES: Final = 1_200
MESSAGE_WINDOW_MS: Final = 60_000
# The one frame without a sequence number and a channel.
_THROTTLED: Final = '{"event":"rejected","text":"Connection throttling enabled, your messages will be ignored."}'

_SYMBOL_CHANNELS: Final = ("prices", "trades", "ticker", "l2", "l3")
_CHANNELS: Final = (*_SYMBOL_CHANNELS, "heartbeat", "symbols")

_encoder = msgspec.json.Encoder(decimal_format="number")
_decoder = msgspec.json.Decoder(dict[str, object])


def refuse_upgrade(origins: list[str]) -> str | None:
    """The body of the HTTP 400 that these ``Origin`` headers earn; None if they are right."""
    if not origins:
        return "Request is missing required HTTP header 'Origin'"
    if origins != [ORIGIN]:
        return "The value of HTTP header 'Origin' was malformed:\nInvalid Origin header"
    return None


class BlockchainSession:
    """One client's connection."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._schedule = Schedule(market.seed, market.updates_per_minute)
        self._subscribed: set[tuple[str, str]] = set()
        self._seqnum = 0
        self._next_heartbeat_ms: int | None = None
        self._received_ms: deque[int] = deque(maxlen=MAX_MESSAGES + 1)
        self._throttled = False

    def opening(self, now_ms: int) -> list[str]:
        """Nothing: this exchange waits to be asked."""
        return []

    def receive(self, message: str | bytes, now_ms: int) -> list[str]:
        """Replies to one message of the client. Total: never raises, whatever the message holds."""
        was_throttled = self._throttled
        if self._throttle(now_ms):
            return [] if was_throttled else [_THROTTLED]
        try:
            request = _decoder.decode(message)
        except (ValueError, RecursionError):
            return [self._reject("", None, "Invalid json received")]
        channel, symbol = request.get("channel"), request.get("symbol")
        channel = channel if isinstance(channel, str) else ""
        symbol = symbol if isinstance(symbol, str) else None
        match request.get("action"):
            case None:
                return [self._reject(channel, symbol, "Missing action")]
            case "subscribe":
                return self._subscribe(channel, symbol, request.get("granularity"), now_ms)
            case "unsubscribe":
                return self._unsubscribe(channel, symbol)
        return [self._reject(channel, symbol, "Invalid action")]

    def due(self, now_ms: int, limit: int) -> list[str]:
        """Frames whose time has come, in order; about ``limit`` at most, the rest stays due."""
        frames: list[str] = []
        market_ms = self._market.time.market_at(now_ms)
        while len(frames) < limit:
            due = self._schedule.pop(market_ms)
            if due is None:
                # Only now: its time is later than that of every candle before it.
                return frames + self._heartbeat(now_ms, market_ms)
            frames += self._candle(due)
        return frames

    def next_due_ms(self) -> int | None:
        """When something will be due, wall time."""
        times = [self._next_heartbeat_ms, self._next_update_ms()]
        return min((time for time in times if time is not None), default=None)

    def expired(self, now_ms: int) -> bool:
        """Never: the exchange leaves idle connections open."""
        return False

    def _throttle(self, now_ms: int) -> bool:
        """Count a message; whether it is ignored. After too many, only a minute of quiet helps."""
        received = self._received_ms
        if self._throttled and now_ms - received[-1] >= MESSAGE_WINDOW_MS:
            self._throttled = False
            received.clear()
        received.append(now_ms)
        if len(received) > MAX_MESSAGES and now_ms - received[0] < MESSAGE_WINDOW_MS:
            self._throttled = True
        return self._throttled

    def _subscribe(self, channel: str, symbol: str | None, granularity: object, now_ms: int) -> list[str]:
        listing = listed(symbol) if symbol is not None else None
        refusal = self._refusal(channel, symbol, granularity)
        if refusal is not None:
            return [self._reject(channel, symbol, refusal)]
        self._subscribed.add((channel, symbol or ""))
        if channel == "prices" and listing is not None:
            return self._follow(listing, now_ms)
        if channel == "heartbeat":
            self._next_heartbeat_ms = now_ms + HEARTBEAT_MS
        acknowledged = self._frame(_about("subscribed", channel, symbol))
        if channel == "symbols":
            chosen = pairs() if listing is None else [listing.pair]
            details = {pair: _details(pair, number) for number, pair in enumerate(chosen, start=1)}
            return [acknowledged, self._frame({"event": "snapshot", "channel": "symbols", "symbols": details})]
        return [acknowledged]

    def _refusal(self, channel: str, symbol: str | None, granularity: object) -> str | None:
        if channel not in _CHANNELS:
            return "Invalid channel"
        if channel in _SYMBOL_CHANNELS and symbol is None:
            return "missing symbol field"
        if symbol is not None and listed(symbol) is None:
            return "Invalid symbol" if channel == "ticker" else "invalid symbol identifier"
        if channel == "prices" and granularity is None:
            return "No granularity set"
        if channel == "prices" and (type(granularity) is not int or granularity != GRANULARITY):
            return "Invalid granularity"
        if (channel, symbol or "") in self._subscribed:
            return "Already subscribed"
        return None

    def _follow(self, listing: Listed, now_ms: int) -> list[str]:
        clock = self._market.time.begin(now_ms)
        if listing.open:
            self._schedule.add(listing.pair, clock.market_at(now_ms) + FIRST_UPDATE_MS, with_running=True)
        return [self._frame({**_about("subscribed", "prices", listing.pair), "granularity": GRANULARITY})]

    def _unsubscribe(self, channel: str, symbol: str | None) -> list[str]:
        if (channel, symbol or "") not in self._subscribed:
            return [self._reject(channel, symbol, "Not subscribed")]
        self._subscribed.discard((channel, symbol or ""))
        if channel == "prices" and symbol is not None:
            self._schedule.remove(symbol)
        if channel == "heartbeat":
            self._next_heartbeat_ms = None
        return [self._frame(_about("unsubscribed", channel, symbol))]

    def _heartbeat(self, now_ms: int, market_ms: int) -> list[str]:
        if self._next_heartbeat_ms is None or now_ms < self._next_heartbeat_ms:
            return []
        # Beats missed while the process stood still are not made up for.
        late = now_ms >= self._next_heartbeat_ms + HEARTBEAT_MS
        self._next_heartbeat_ms = (now_ms if late else self._next_heartbeat_ms) + HEARTBEAT_MS
        return [self._frame({"event": "updated", "channel": "heartbeat", "timestamp": rfc3339(market_ms, 9)})]

    def _next_update_ms(self) -> int | None:
        clock, market_ms = self._market.time.clock, self._schedule.next_ms()
        return None if clock is None or market_ms is None else clock.wall_at(market_ms)

    def _candle(self, due: Due) -> list[str]:
        faults = self._market.faults
        frames = [self._frame(faults.injected.popleft()) for _ in range(len(faults.injected))]
        time = due.timestamp // 1000 if faults.seconds else due.timestamp
        row = ",".join((str(time), *map(java_number, due.update.values)))
        # By hand: the encoder cannot spell numbers as this exchange does.
        frame = (
            f'{{"seqnum":{self._take_seqnum()},"event":"updated","channel":"prices",'
            f'"symbol":"{due.pair}","price":[{row}]}}'
        )
        return frames + faults.disturb(frame)

    def _reject(self, channel: str, symbol: str | None, text: str) -> str:
        return self._frame({**_about("rejected", channel, symbol), "text": text})

    def _frame(self, body: dict[str, object]) -> str:
        return _encoder.encode({"seqnum": self._take_seqnum(), **body}).decode()

    def _take_seqnum(self) -> int:
        taken, self._seqnum = self._seqnum, self._seqnum + 1
        return taken


def _about(event: str, channel: str, symbol: str | None) -> dict[str, object]:
    body: dict[str, object] = {"event": event, "channel": channel}
    return body if symbol is None else {**body, "symbol": symbol}


def _details(pair: str, number: int) -> dict[str, object]:
    listing = listed(pair)
    assert listing is not None
    return {
        "base_currency": listing.base,
        "base_currency_scale": listing.volume_decimals,
        "counter_currency": listing.quote,
        "counter_currency_scale": listing.price_decimals,
        "min_price_increment": 1,
        "min_price_increment_scale": listing.price_decimals,
        "min_order_size": 50,
        "min_order_size_scale": 2,
        "max_order_size": 0,
        "max_order_size_scale": 8,
        "lot_size": 1,
        "lot_size_scale": listing.volume_decimals,
        "status": "open" if listing.open else "close",
        "id": number,
        "auction_price": Decimal("0.0"),
        "auction_size": Decimal("0.0"),
        "auction_time": "",
        "imbalance": Decimal("0.0"),
    }
