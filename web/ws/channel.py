"""One client's subscription to one series by the JSON protocol."""

import asyncio
from collections.abc import Hashable
from typing import Protocol

from web.ws.messages import Fetch, GapMessage, encode
from web.ws.mirror import Change
from web.ws.rate import Due, RateLimit
from web.ws.stream import Cursor


class Receiver(Protocol):
    """The client's side: must not wait, and must not raise."""

    def offer(self, owner: Hashable, timestamp: int, frame: bytes, /) -> None:
        """Take a candle's frame."""

    def reply(self, text: bytes) -> None:
        """Take any other frame's text."""

    def forget(self, owner: Hashable) -> None:
        """Let go of what has been offered and not sent."""


class Channel:
    """Hears changes from the beginning, and passes them on once it is started.

    Args:
        client: Who gets them.
        max_rate: Updates a second; None: all.
    """

    def __init__(self, client: Receiver, max_rate: float | None) -> None:
        self._client, self._max_rate = client, max_rate
        self._is_open = False
        self._rate: RateLimit | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self, cursor: Cursor | None) -> None:
        """Pass changes on from now; the client has got everything up to the cursor."""
        self._is_open = True
        if self._max_rate is not None:
            self._rate = RateLimit(self._max_rate, cursor)

    def stop(self) -> None:
        """Pass nothing on any more, not even what waits."""
        self._is_open = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._client.forget(self)

    def take(self, change: Change) -> None:
        """Pass a change on, now or when its time has come."""
        if not self._is_open:
            return
        if self._rate is None:
            self._client.offer(self, change.candle.timestamp, change.frame)
            return
        self._send(self._rate.put(change, asyncio.get_running_loop().time()))

    def warn(self, gap: Fetch) -> None:
        """Say that changes of this range may have been missed."""
        if self._is_open:
            message = GapMessage(
                exchange=gap.exchange, pair=gap.pair, interval=gap.interval, from_=gap.from_, to=gap.to
            )
            self._client.reply(encode(message))

    def _send(self, due: list[Due]) -> None:
        for change, cursor in due:
            frame = change.frame if cursor == change.cursor else change.frame_at(cursor)
            self._client.offer(self, change.candle.timestamp, frame)
        if self._rate is not None and self._rate.due_at is not None and self._timer is None:
            self._timer = asyncio.get_running_loop().call_at(self._rate.due_at, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        if self._rate is not None and self._is_open:
            self._send(self._rate.take_due(asyncio.get_running_loop().time()))
