"""Subscriptions of the JSON protocol: answering them, beginning them, and saying how the feeds are.

A subscription waits until its series is known, within a time. Then its answer, its snapshot or what changed since its
cursor, and everything from then on are put down in one go: nothing can come in between, and nothing is lost.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from msgspec import UNSET, UnsetType

from ingest.candle import Series
from ingest.clock import SystemClock, now_ms
from web import metrics
from web.ws.channel import Channel
from web.ws.client import Client
from web.ws.cursors import format_cursor, parse_cursor
from web.ws.effects import Open, Wish
from web.ws.history import History
from web.ws.messages import Id, StatusMessage, Subscribed, SubscribeReply, encode, names
from web.ws.mirror import Mirror, Resumption
from web.ws.relay import Relay

logger = logging.getLogger(__name__)

#: How long all series of one command may take to become known (seconds).
OPEN_SECONDS: Final = 5.0
_clock: Final = SystemClock()


@dataclass(slots=True)
class _Held:
    channels: dict[Series, Channel] = field(default_factory=dict)
    #: What was said of each exchange's feed.
    told: dict[str, StatusMessage] = field(default_factory=dict)


class Channels:
    """Every client's subscriptions by the JSON protocol."""

    def __init__(self, relay: Relay, history: History, unix_ms: Callable[[], int] = lambda: now_ms(_clock)) -> None:
        self._relay, self._history, self._unix_ms = relay, history, unix_ms
        self._clients: dict[Client, _Held] = {}

    async def open(self, client: Client, wanted: Open) -> None:
        """Answer a client's wishes, one after the other, and begin to serve them."""
        held = self._clients.setdefault(client, _Held())
        channels = []
        # All are asked for before one is waited for.
        for wish in wanted.wishes:
            self.shut(client, wish.series)
            channel = held.channels[wish.series] = Channel(client, wish.max_rate)
            self._relay.open(wish.series, channel)
            channels.append(channel)
        deadline = asyncio.get_running_loop().time() + OPEN_SECONDS
        for wish, channel in zip(wanted.wishes, channels, strict=True):
            await self._begin(client, wanted.id, wish, channel, deadline)
            # A snapshot at a time: what waits for a client stays small.
            await client.drained()
        for exchange in dict.fromkeys(wish.series.exchange for wish in wanted.wishes):
            self._tell(client, held, self._relay.feeds.status(exchange, self._unix_ms()))

    def shut(self, client: Client, series: Series) -> None:
        """End one subscription, if there is one."""
        held = self._clients.get(client)
        channel = held.channels.pop(series, None) if held is not None else None
        if held is not None and channel is not None:
            channel.stop()
            self._relay.close(series, channel)
            if not any(each.exchange == series.exchange for each in held.channels):
                held.told.pop(series.exchange, None)

    def leave(self, client: Client) -> None:
        """End all subscriptions of a client."""
        held = self._clients.get(client)
        for series in list(held.channels) if held is not None else ():
            self.shut(client, series)
        self._clients.pop(client, None)

    def tell_statuses(self) -> None:
        """Say what has changed about the feeds; called every `web.ws.status.LOOK_SECONDS`."""
        for status in self._relay.feeds.changes(self._unix_ms()):
            for client, held in self._clients.items():
                if any(series.exchange == status.exchange for series in held.channels):
                    self._tell(client, held, status)

    def _tell(self, client: Client, held: _Held, status: StatusMessage) -> None:
        is_wanted = any(series.exchange == status.exchange for series in held.channels)
        if is_wanted and held.told.get(status.exchange) != status:
            held.told[status.exchange] = status
            client.reply(encode(status))

    # -- one subscription -------------------------------------------------------------------------------------------

    async def _begin(self, client: Client, id_: Id | UnsetType, wish: Wish, channel: Channel, deadline: float) -> None:
        cursor = None if wish.cursor is None else parse_cursor(wish.cursor)
        mirror = await self._relay.known(wish.series, cursor, deadline)
        rows, is_truncated = [], False
        count = _snapshot_count(mirror, wish, mirror.resume(cursor, self._unix_ms()))
        if count > mirror.complete_count:
            stored = await self._history.newest(wish.series, count)
            rows, is_truncated = stored or [], stored is None
        # From here on nothing is waited for.
        resumption = mirror.resume(cursor, self._unix_ms())
        client.reply(encode(SubscribeReply(id=id_, result=_result(mirror, wish, resumption))))
        count = _snapshot_count(mirror, wish, resumption)
        if count and not rows and not is_truncated:
            client.reply(mirror.snapshot(count))
        elif count:
            client.reply(mirror.snapshot_of(mirror.newest(count, rows), truncated=is_truncated))
        channel.start(cursor if resumption.recovered else mirror.cursor)
        for change in resumption.changes:
            channel.take(change)


def _snapshot_count(mirror: Mirror, wish: Wish, resumption: Resumption) -> int:
    """How many candles a client begins with; who cannot go on from its cursor gets all that is at hand."""
    if wish.cursor is None:
        return wish.snapshot
    return 0 if resumption.recovered else max(wish.snapshot, mirror.count)


def _result(mirror: Mirror, wish: Wish, resumption: Resumption) -> Subscribed:
    if wish.cursor is None:
        return Subscribed(**names(wish.series), cursor=format_cursor(mirror.cursor), recovered=False)
    metrics.ws_resumed_total.labels("yes" if resumption.recovered else "no").inc()
    # What is said to follow has not been sent yet: a client that gets no further resumes from its own place.
    place = wish.cursor if resumption.recovered else format_cursor(mirror.cursor)
    fetch = UNSET if resumption.fetch is None else resumption.fetch
    return Subscribed(**names(wish.series), cursor=place, recovered=resumption.recovered, fetch=fetch)
