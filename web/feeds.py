"""The newest feed event of each exchange, as a reader has to take it."""

from typing import Protocol, cast

import msgspec

from ingest.codec import decode_event
from ingest.errors import DecodeError
from ingest.events import FeedEvent, FeedState
from web.live_client import LiveClient
from workers.live import FEEDS

#: Feeds beat each second. Who has missed the beats for this long knows nothing any more (milliseconds).
STALE_AFTER_MS = 3000


class FeedSource(Protocol):
    """Where the newest feed events are; every method raises `redis.RedisError` if it does not answer."""

    def newest(self) -> list[FeedEvent]:
        """The newest event of each exchange, in the order of their names."""

    def ping(self) -> None:
        """Return if it answers."""


class LiveFeeds:
    """Feed events in the live side's Redis."""

    def __init__(self, client: LiveClient) -> None:
        self._client = client

    def newest(self) -> list[FeedEvent]:
        """The newest event of each exchange, in the order of their names; what cannot be read is left out."""
        events = []
        texts = cast("dict[bytes, bytes]", self._client.connected().hgetall(FEEDS))
        for _, text in sorted(texts.items()):
            try:
                events.append(decode_event(text))
            except DecodeError:
                continue
        return events

    def ping(self) -> None:
        """Return if Redis answers."""
        self._client.connected().ping()


def as_known_at(event: FeedEvent, now_ms: int) -> FeedEvent:
    """The event, or the same with ``feed`` stale if no beat has come for three seconds (Unix milliseconds)."""
    silence_ms = now_ms - event.at
    if silence_ms <= STALE_AFTER_MS or event.feed is FeedState.DOWN:
        return event
    reason = f"no beat for {silence_ms // 1000} s"
    return msgspec.structs.replace(event, feed=FeedState.STALE, since=event.at, reason=reason)
