"""Blockchain.com Exchange: the candles of its ``prices`` channel.

Pure translation: no socket, no clock, no logging. What a reader of the frames has to know:

* The server wants the header ``Origin: https://exchange.blockchain.com`` and answers HTTP 400 without it.
* One frame subscribes one symbol. Updates do not say their granularity, so a connection follows one only.
* ``seqnum`` counts every frame of a connection from 0, across channels; a jump means that frames were lost.
  The rejection for sending too much carries neither ``seqnum`` nor ``channel``.
* A row is ``[open time, open, high, low, close, volume]``. The open time is in milliseconds although the
  documentation shows seconds; numbers may be in scientific notation (``5.961E-4``).
* Prices are mid prices: they move while the volume stays zero. There is no closed flag, no snapshot, and no frame
  for a minute without trades.
* A symbol that is closed for trading is acknowledged and then silent: candles are no proof of life, heartbeats are.

Example: ``{"seqnum":79,"event":"updated","channel":"prices","symbol":"BTC-USD",
"price":[1790138040000,87217.845,87217.845,87190.85,87190.85,0.0]}``

Source: blockchain/docs-exchange-api, "Anonymous channels" (2020-07); frames seen on the wire in 2020, 2022 and 2026.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Final

import msgspec

from ingest.candle import MAX_TIMESTAMP_MS, Interval, check_prices, check_timestamp
from ingest.errors import CandleError
from ingest.exchanges.base import (
    CandleUpdate,
    Event,
    Heartbeat,
    Invalid,
    KeepAlive,
    MissedFrames,
    Rejected,
    Subscribed,
    shown,
)
from ingest.exchanges.timestamps import unix_ms

SCHEME: Final = "wss"
ADDRESS: Final = "ws.blockchain.info"
PATH: Final = "/mercury-gateway/v1/ws"
ORIGIN: Final = "https://exchange.blockchain.com"

#: The server pings each second and the heartbeat channel beats each 5 s.
SILENCE_SECONDS: Final = 15.0

GRANULARITIES: Final = {
    Interval.M1: 60,
    Interval.M5: 300,
    Interval.M15: 900,
    Interval.H1: 3600,
    Interval.D1: 86400,
}

#: Open times below this are seconds: as milliseconds they would lie before March 1973.
SECONDS_BELOW: Final = 100_000_000_000


MAX_SEQNUM: Final = 2**63 - 1


class _Frame(msgspec.Struct):
    # Any field may hold anything: a wrong type in one must not hide the sequence number in another.
    seqnum: object = None
    event: object = None
    channel: object = None
    symbol: object = None
    granularity: object = None
    text: object = None
    timestamp: object = None
    price: msgspec.Raw = msgspec.Raw(b"null")


_frame_decoder = msgspec.json.Decoder(_Frame)
_OpenTime = Annotated[int, msgspec.Meta(ge=0, le=MAX_TIMESTAMP_MS)]
_row_decoder = msgspec.json.Decoder(tuple[_OpenTime, Decimal, Decimal, Decimal, Decimal, Decimal])


class BlockchainAdapter:
    """The Blockchain.com protocol at one address."""

    def __init__(self, url: str = f"{SCHEME}://{ADDRESS}{PATH}", origin: str = ORIGIN) -> None:
        self.url = url
        self.origin: str | None = origin
        self.silence_seconds = SILENCE_SECONDS
        # The server pings us; it asks for nothing.
        self.keepalive: KeepAlive | None = None

    def connect(self, pairs: Sequence[str], interval: Interval) -> "BlockchainConnection":
        """Fresh state for a new connection that will follow ``pairs``.

        Raises:
            ValueError: If the exchange has no candles of this interval.
        """
        return BlockchainConnection(pairs, interval)


class BlockchainConnection:
    """One connection: which pairs it asked for, and the next sequence number."""

    def __init__(self, pairs: Sequence[str], interval: Interval) -> None:
        if interval not in GRANULARITIES:
            raise ValueError(f"Blockchain.com has no candles of {interval.value}, only {', '.join(GRANULARITIES)}")
        self._pairs = dict.fromkeys(pairs)
        self._interval = interval
        self._next_seqnum = 0
        #: Unreadable frames since the last number: each may have used one up.
        self._unread = 0

    def opening_frames(self) -> list[str]:
        """One subscription per pair, then the heartbeat channel."""
        bodies: list[dict[str, object]] = [
            {"channel": "prices", "symbol": pair, "granularity": GRANULARITIES[self._interval]} for pair in self._pairs
        ]
        bodies.append({"channel": "heartbeat"})
        return [msgspec.json.encode({"action": "subscribe", **body}).decode() for body in bodies]

    def receive(self, frame: str | bytes) -> list[Event]:
        """Translate one frame. Total: never raises, whatever the frame holds.

        An unreadable frame may have used up a sequence number. It did arrive, so that number is not missed, and the
        connection need not be made anew for it: whoever sends one such frame may well send many.
        """
        try:
            message = _frame_decoder.decode(frame)
        except (ValueError, RecursionError) as error:
            self._unread += 1
            return [Invalid(f"unreadable frame: {error!s:.150}")]
        missed = self._missed(message.seqnum)
        if isinstance(missed, Invalid):
            return [missed]
        events: list[Event] = [] if missed is None else [missed]
        return events + self._translate(message)

    def _missed(self, seqnum: object) -> MissedFrames | Invalid | None:
        if type(seqnum) is not int or not 0 <= seqnum <= MAX_SEQNUM:
            return None
        expected, self._next_seqnum = self._next_seqnum, seqnum + 1
        unread, self._unread = self._unread, 0
        if expected <= seqnum <= expected + unread:
            return None
        if seqnum == expected - 1:
            # The same frame again: nothing is lost, and nothing in it is new.
            self._next_seqnum = expected
            return Invalid(f"repeated seqnum {seqnum}")
        return MissedFrames(expected, seqnum)

    def _translate(self, message: _Frame) -> list[Event]:
        match message.event, message.channel:
            case "updated", "prices":
                return [self._candle(message)]
            case "updated", "heartbeat":
                return [Heartbeat(unix_ms(message.timestamp))]
            case "subscribed", "prices":
                return [self._acknowledged(message)]
            case ("subscribed", "heartbeat") | ("unsubscribed", _):
                return []
            case "rejected", _:
                return self._rejected(message)
        return [Invalid(f"unknown event {shown(message.event)} on channel {shown(message.channel)}")]

    def _acknowledged(self, message: _Frame) -> Event:
        if not isinstance(message.symbol, str) or message.symbol not in self._pairs:
            return Invalid(f"acknowledgement of {shown(message.symbol)}, which was not asked for")
        if message.granularity not in (None, GRANULARITIES[self._interval]):
            # Its updates would be candles of another length, and would not say so.
            del self._pairs[message.symbol]
            return Rejected(message.symbol, f"subscribed with granularity {shown(message.granularity)}")
        return Subscribed(message.symbol)

    def _rejected(self, message: _Frame) -> list[Event]:
        text = message.text if isinstance(message.text, str) else "no reason given"
        pair = message.symbol if isinstance(message.symbol, str) and message.symbol in self._pairs else None
        if text.casefold() == "already subscribed":
            # The first subscription goes on.
            return [] if pair is None else [Subscribed(pair)]
        return [Rejected(pair, text[:200], retryable="throttling" in text)]

    def _candle(self, message: _Frame) -> Event:
        symbol = message.symbol
        if not isinstance(symbol, str) or symbol not in self._pairs:
            return Invalid(f"candle of {shown(symbol)}, which is not subscribed")
        try:
            time, open_, high, low, close, volume = _row_decoder.decode(message.price)
            timestamp = time * 1000 if time < SECONDS_BELOW else time
            check_timestamp(timestamp, self._interval)
            check_prices(open_, high, low, close, volume)
        except (ValueError, RecursionError, CandleError) as error:
            return Invalid(f"candle of {symbol}: {error!s:.150}")
        return CandleUpdate(symbol, self._interval, timestamp, open_, high, low, close, volume)
