"""Candles as they come: `stream`, which joins history to the live side and survives every restart of the server."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from typing import Any, Final

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, WebSocketException

from ingest.backoff import Backoff
from ingest.candle import Candle, check_pair
from ingest.candle import Interval as CandleInterval
from web.client.address import Address
from web.client.errors import ClientError, NotInstalled, Refused
from web.client.finals import SETTLE_SECONDS
from web.client.inbox import Inbox
from web.client.paging import Range
from web.client.rest import DEFAULT_URL, AsyncClient
from web.client.series import WINDOW, EveryVersion, Follower, OnlyFinals, Reading
from web.client.session import Denied, Event, Feed, Heard, Leaving, Missed, Session, Subscribed
from web.client.times import Time, milliseconds

logger = logging.getLogger(__name__)

DEFAULT_WS_URL: Final = "ws://127.0.0.1:3004"
#: How long a silent connection is believed (seconds).
PING_SECONDS: Final = 5.0
OPEN_SECONDS: Final = 10.0
#: Larger than any frame of the server: a snapshot of 500 candles.
MAX_FRAME_BYTES: Final = 4 * 1024 * 1024
#: Answers to the handshake that will not be another one later.
_FINAL_STATUSES: Final = frozenset({400, 401, 403, 404, 405})


async def stream(
    pairs: Sequence[str],
    *,
    exchange: str | None = None,
    interval: str = "1m",
    since: Time | None = None,
    finals_only: bool = False,
    settle_seconds: float = SETTLE_SECONDS,
    url: str = DEFAULT_URL,
    ws_url: str = DEFAULT_WS_URL,
    on_trouble: Callable[[str], None] | None = None,
    on_feed: Callable[[str, str], None] | None = None,
) -> AsyncGenerator[Candle, None]:
    """Candles of these pairs as they change, for ever; connections that break are made again.

    A version of a candle comes once, and never one that is older than what came: of each open time ``rev`` only rises.
    What changed while there was no connection is told afterwards. A reader slower than the market gets the newest
    version of each candle and not all in between.

    >>> async for candle in stream(["BTC-USD"]):  # doctest: +SKIP
    ...     print(candle.timestamp, candle.close, candle.state)

    Args:
        pairs: One or more, for example ``["BTC-USD"]``.
        exchange: Whose candles; None: those of the server's first exchange.
        interval: ``1m``, ``5m``, ``15m``, ``30m``, ``1h``, ``4h`` or ``1d``.
        since: Begin with the history from this open time on (Unix milliseconds, or a datetime with a zone), without a
            hole between history and live. Without it the newest candle comes first.
        finals_only: Only candles that are final or corrected, each open time once, ascending for each pair, and
            every one that the store has; without ``since`` from the next final on.
        settle_seconds: How long rows may take to the store. What was not told live is read once more after it, and with
            ``finals_only`` a final waits so long if the candle before it is not final.
        url, ws_url: Where the REST API and the WebSocket server are.
        on_trouble: Is told, in a sentence, what is in the way while the stream tries again; without it the log is.
        on_feed: Is told an exchange and how its feed is: ``live``, ``stale`` or ``down``.

    Raises:
        Refused: If a pair or the exchange is not known, or the server does not want this client.
        NotUnderstood: If what answers is not this server.
        NotInstalled: If the environment names a SOCKS proxy, and what that needs is missing.
        CandleError, ValueError: If a pair or an argument is not as expected.
    """
    if not pairs or isinstance(pairs, str):
        raise ValueError(f'{pairs!r} is no list of pairs: expected for example ["BTC-USD"]')
    if interval not in list(CandleInterval):
        raise ValueError(f"interval={interval!r}: expected one of {', '.join(CandleInterval)}")
    since_ms = None if since is None else milliseconds(since)
    trouble = on_trouble or (lambda text: logger.warning("%s", text))
    ws_address, inbox = Address.parse(ws_url, DEFAULT_WS_URL), Inbox()
    async with AsyncClient(url) as rest:
        followers: dict[str, Follower] = {}
        for pair in pairs:
            reading = Reading(rest, Range(pair=check_pair(pair), exchange=exchange, interval=interval), trouble)
            followers[pair] = (
                OnlyFinals(reading, inbox, since_ms, settle_seconds)
                if finals_only
                else EveryVersion(reading, inbox, since_ms, settle_seconds)
            )
        # Finals are read from the store, whatever the live side says. Else a snapshot overlaps with the history before
        # it, since the store may be behind.
        overlap = 1 if finals_only else WINDOW
        session = Session(pairs, exchange, interval, snapshot=overlap if since_ms is not None else 1, again=overlap)
        connection = _Connection(ws_address, session, followers, trouble, on_feed or (lambda _exchange, _feed: None))
        work = [connection.run(), *(follower.run() for follower in followers.values())]
        tasks = [asyncio.create_task(_or_fail(each, inbox)) for each in work]
        try:
            while True:
                yield await inbox.take()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _or_fail(work: Coroutine[Any, Any, None], inbox: Inbox) -> None:
    """Let the stream's reader have what goes wrong."""
    try:
        await work
    except Exception as error:
        inbox.fail(error)


class _ConnectAgain(Exception):
    """Raised when this connection is of no use; the text says why."""


class _Connection:
    """The connection to the WebSocket server, made again whenever it breaks."""

    def __init__(
        self,
        address: Address,
        session: Session,
        followers: dict[str, Follower],
        trouble: Callable[[str], None],
        on_feed: Callable[[str, str], None],
    ) -> None:
        self._address, self._session, self._followers = address, session, followers
        self._trouble, self._on_feed = trouble, on_feed
        # Who follows candles does not want to be away for half a minute after the server is back.
        self._backoff = Backoff(cap_seconds=10.0)
        #: When the server that stops wants us back (seconds from then).
        self._invited_seconds: float | None = None

    async def run(self) -> None:
        """Follow for ever.

        Raises:
            Refused: If the server does not serve this.
            NotUnderstood: If what answers is not this server.
            NotInstalled: If what a proxy needs is missing.
        """
        while True:
            try:
                await self._follow()
                reason = "the server closed the connection"
            except ClientError:
                raise
            except InvalidStatus as error:
                if error.response.status_code in _FINAL_STATUSES:
                    raise Refused("forbidden", f"{self._address.shown}: {error}") from error
                reason = str(error)
            except ImportError:
                raise NotInstalled("the SOCKS proxy that the environment names", "python-socks[asyncio]") from None
            except (OSError, TimeoutError, InvalidHandshake, WebSocketException, _ConnectAgain) as error:
                reason = str(error) or type(error).__name__
            invited_seconds, self._invited_seconds = self._invited_seconds, None
            delay_seconds = self._backoff.next_delay_seconds() if invited_seconds is None else invited_seconds
            self._trouble(f"{self._address.shown}: {reason}; connecting again in {delay_seconds:.1f} s")
            await asyncio.sleep(delay_seconds)

    async def _follow(self) -> None:
        async with connect(
            self._address.url,
            proxy=None if self._address.is_here else True,
            compression=None,
            open_timeout=OPEN_SECONDS,
            ping_interval=PING_SECONDS,
            ping_timeout=PING_SECONDS,
            close_timeout=1,
            max_size=MAX_FRAME_BYTES,
        ) as websocket:
            for command in self._session.commands():
                await websocket.send(command)
            async for frame in websocket:
                for event in self._session.receive(frame):
                    self._take(event)

    def _take(self, event: Event) -> None:
        match event:
            case Heard(pair, candles, is_snapshot) if pair in self._followers:
                self._backoff.reset()
                self._followers[pair].heard(candles, is_snapshot=is_snapshot)
            case Subscribed(pair) if pair in self._followers:
                self._followers[pair].subscribed()
            case Missed(pair, since_ms, until_ms) if pair in self._followers:
                self._followers[pair].missed(since_ms, until_ms)
            case Feed(exchange, state):
                self._on_feed(exchange, state)
            case Leaving(after_seconds):
                self._invited_seconds = after_seconds
            case Denied(code, message, for_good):
                if for_good:
                    raise Refused(code, message)
                raise _ConnectAgain(message)
