"""Redis to subscribed connections; notices what pub/sub lost.

Pub/sub drops messages silently, on a reconnect and on a full buffer, and does not notice a link that is dead. So the
channel is only what makes things fast. What makes them true is the hash: it is read when a channel is subscribed,
again whenever the numbers of the messages jump, and once a second its counters are compared with what has come.
"""

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import redis

from ingest.backoff import Backoff
from ingest.candle import Series
from ingest.clock import SystemClock, now_ms
from ingest.codec import decode_event
from ingest.errors import DecodeError
from web import metrics
from web.ws.cursors import Memory
from web.ws.history import History
from web.ws.live_reader import LiveReader, ends_while_written_to, goes_on
from web.ws.mirror import Mirror
from web.ws.served import Listener, Served, Subscriber
from web.ws.status import Feeds
from web.ws.stream import Cursor, parse_message
from workers.live import FEEDS, candles_channel
from workers.outage import Outage

logger = logging.getLogger(__name__)

CHECK_SECONDS = 1.0
#: A link on which not even the answers to our pings came for this long is dead.
SILENCE_SECONDS = 3.0
#: Windows and counters are read so many at a time, so that one reply stays small.
_PIPELINE = 200
_FEEDS_CHANNEL = FEEDS.encode()
_clock = SystemClock()


class Relay:
    """Serves series to subscribers for as long as `run` runs.

    Args:
        url: The live side.
        history: The store, for what the live side does not know.
        window: How many candles of each series the live side holds.
    """

    def __init__(self, url: str, history: History, window: int) -> None:
        self._history, self._window = history, window
        #: What is known of the exchanges' feeds.
        self.feeds = Feeds()
        self._backoff = Backoff(first_seconds=0.1, cap_seconds=2.0)
        self._live = LiveReader(url)
        self._pubsub: Any = None
        self._served: dict[Series, Served] = {}
        self._by_channel: dict[bytes, Served] = {}
        # Kept when nobody wants the series any more: whoever comes back asks what it missed.
        self._memories: dict[Series, Memory] = {}
        self._to_load: dict[Series, str] = {}
        self._to_listen: set[Series] = set()
        self._to_leave: set[Series] = set()
        self._work = asyncio.Event()
        self._from_store: dict[Series, asyncio.Task[None]] = {}
        self._heard_at = 0.0
        self._outage = Outage(logger, "the live side")

    def subscribe(self, series: Series, subscriber: Subscriber) -> None:
        """Tell the subscriber the newest candle, now or as soon as it is known, and then every change."""
        self._serve(series).subscribe(subscriber)

    def unsubscribe(self, series: Series, subscriber: Subscriber) -> None:
        """Tell the subscriber nothing more of this series."""
        served = self._served.get(series)
        if served is not None:
            served.subscribers.discard(subscriber)

    def open(self, series: Series, listener: Listener) -> None:
        """Tell the listener every change from now on; what is known already is asked of `known`."""
        self._serve(series).listeners.add(listener)

    def close(self, series: Series, listener: Listener) -> None:
        """Tell the listener nothing more of this series."""
        served = self._served.get(series)
        if served is not None:
            served.listeners.discard(listener)

    async def known(self, series: Series, cursor: Cursor | None, deadline: float) -> Mirror:
        """What is known of a series that is served, once it is, and up to the cursor; or at the deadline, as it is.

        The cursor may come from another process, which heard of a change before this one.
        """
        served = self._serve(series)
        for _ in range(2):
            is_behind = cursor is not None and served.mirror.is_behind(cursor)
            if served.stream.loaded and not is_behind:
                break
            self._request_load(series, "asked")
            with suppress(TimeoutError):
                async with asyncio.timeout_at(deadline):
                    await served.answer()
        return served.mirror

    def _serve(self, series: Series) -> Served:
        served = self._served.get(series)
        if served is None:
            memory = self._memories.setdefault(series, Memory())
            served = self._served[series] = Served(series, self._window, memory)
            self._by_channel[candles_channel(series).encode()] = served
            metrics.ws_series.set(len(self._served))
            self._to_listen.add(series)
            # Without waiting for the channel: whoever asks gets an answer even if that never comes.
            self._request_load(series, "subscribed")
        served.idle_checks = 0
        return served

    async def run(self) -> None:
        """Serve until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listen())
                tasks.create_task(self._check_always())
                tasks.create_task(self._do_work())
        finally:
            for task in self._from_store.values():
                task.cancel()
            await self._live.client.aclose()

    # -- the channels -----------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        while goes_on():
            try:
                await self._listen_once()
            except (redis.RedisError, OSError, TimeoutError) as error:
                self._redis_is_away(error)
            finally:
                metrics.relay_connected.set(0)
            await asyncio.sleep(self._backoff.next_delay_seconds())

    async def _listen_once(self) -> None:
        """Listen on one connection until it ends."""
        now = asyncio.get_running_loop().time
        pubsub: Any = self._live.client.pubsub()
        try:
            await pubsub.connect()
            # What is asked for while this waits is a change that `_change_channels` makes.
            self._to_listen.clear()
            await pubsub.subscribe(FEEDS, *(candles_channel(series) for series in self._served))
            self._heard_at = now()
            # From here on others may send on it; only this task reads.
            self._pubsub = pubsub
            self._work.set()
            self._redis_is_there()
            # Else feeds would be called stale until the first check.
            await self._read_events()
            while goes_on():
                message = await pubsub.get_message(timeout=CHECK_SECONDS)
                if message is not None:
                    self._heard_at = now()
                    self._take(message)
                elif now() - self._heard_at > SILENCE_SECONDS:
                    raise TimeoutError(f"nothing heard for {SILENCE_SECONDS:g} s")
        finally:
            self._pubsub = None
            await pubsub.aclose()

    def _take(self, message: dict[str, Any]) -> None:
        served = self._by_channel.get(message["channel"])
        if message["channel"] == _FEEDS_CHANNEL and message["type"] == "message":
            self._take_event(message["data"])
        elif served is None:
            return
        elif message["type"] == "subscribe":
            # Also after a reconnect that redis-py made on its own.
            self._request_load(served.series, "subscribed")
        elif message["type"] == "message":
            metrics.relay_messages_total.inc()
            try:
                is_missing = served.receive(*parse_message(message["data"]))
            except DecodeError as error:
                metrics.relay_bad_messages_total.inc()
                logger.warning("message cannot be read", extra={"channel": served.series.key, "reason": str(error)})
                return
            if is_missing:
                self._request_load(served.series, "jumped")

    async def _read_events(self) -> None:
        for text in await self._live.events():
            self._take_event(text)

    def _take_event(self, text: bytes) -> None:
        # What cannot be read says nothing: the feed becomes stale.
        with suppress(DecodeError):
            self.feeds.receive(decode_event(text), now_ms(_clock))

    # -- the hashes -------------------------------------------------------------------------------------------------

    def _request_load(self, series: Series, cause: str) -> None:
        self._to_load.setdefault(series, cause)
        self._work.set()

    async def _do_work(self) -> None:
        while goes_on():
            await self._work.wait()
            self._work.clear()
            try:
                await self._change_channels()
                while self._to_load:
                    await self._load_some()
            except (redis.RedisError, OSError, TimeoutError) as error:
                self._redis_is_away(error)

    async def _change_channels(self) -> None:
        """Subscribe to what has been asked for; without a connection `_listen_once` does it when it has one."""
        if self._pubsub is None:
            return
        listen = [candles_channel(series) for series in self._to_listen if series in self._served]
        leave = [candles_channel(series) for series in self._to_leave if series not in self._served]
        self._to_listen.clear()
        self._to_leave.clear()
        with ends_while_written_to():
            if listen:
                await self._pubsub.subscribe(*listen)
            if leave:
                await self._pubsub.unsubscribe(*leave)

    async def _load_some(self) -> None:
        some = {series: self._to_load.pop(series) for series in list(self._to_load)[:_PIPELINE]}
        for cause in some.values():
            metrics.relay_rereads_total.labels(cause).inc()
        try:
            windows = await self._live.windows(some)
        except (redis.RedisError, OSError, TimeoutError):
            # The next check asks again; meanwhile the store may know a newest candle.
            self._load_from_store(some)
            raise
        for series, window in zip(some, windows, strict=True):
            served = self._served.get(series)
            if served is None:
                continue
            if window is None or not window.candles:
                self._load_from_store([series])
            else:
                served.load(window)

    def _load_from_store(self, all_series: Iterable[Series]) -> None:
        for series in all_series:
            served = self._served.get(series)
            if served is not None and served.stream.loaded:
                served.announce()
            elif served is not None and series not in self._from_store:
                self._from_store[series] = asyncio.create_task(self._load_stored(series))

    async def _load_stored(self, series: Series) -> None:
        try:
            candles = await self._history.newest(series)
        finally:
            del self._from_store[series]
        served = self._served.get(series)
        if served is None:
            return
        if candles is not None:
            served.load_stored(candles[0] if candles else None)
        served.announce()

    # -- the check --------------------------------------------------------------------------------------------------

    async def _check_always(self) -> None:
        while goes_on():
            await asyncio.sleep(CHECK_SECONDS)
            self._leave_idle()
            for series, served in self._served.items():
                if not served.stream.loaded:
                    self._request_load(series, "not loaded")
            try:
                if self._pubsub is not None:
                    with ends_while_written_to():
                        await self._pubsub.ping()
                await self._check(list(self._served))
                await self._read_events()
                if self._pubsub is not None:
                    self._redis_is_there()
            except (redis.RedisError, OSError, TimeoutError) as error:
                self._redis_is_away(error)

    async def _check(self, all_series: list[Series]) -> None:
        for start in range(0, len(all_series), _PIPELINE):
            some = all_series[start : start + _PIPELINE]
            for series, counters in zip(some, await self._live.counters(some), strict=True):
                served = self._served.get(series)
                if served is not None and served.stream.check(counters):
                    # Subscribed again as well: whatever made the channel silent for us, this ends it.
                    self._to_listen.add(series)
                    self._request_load(series, "missed")

    def _leave_idle(self) -> None:
        """Stop serving what nobody has wanted for a whole check: a client that comes back at once finds it ready."""
        for series, served in list(self._served.items()):
            served.idle_checks = 0 if served.is_wanted else served.idle_checks + 1
            if served.idle_checks > 1:
                del self._served[series]
                del self._by_channel[candles_channel(series).encode()]
                self._to_leave.add(series)
                self._work.set()
        metrics.ws_series.set(len(self._served))

    # -- helpers ----------------------------------------------------------------------------------------------------

    def _redis_is_away(self, error: Exception) -> None:
        self._outage.failed(str(error) or type(error).__name__)

    def _redis_is_there(self) -> None:
        metrics.relay_connected.set(1)
        self._backoff.reset()
        self._outage.answered()
