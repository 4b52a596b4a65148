"""The newest feed event of each exchange, as a reader has to take it."""

import threading
from typing import Protocol, cast

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ingest.codec import decode_event
from ingest.errors import DecodeError
from ingest.events import FeedEvent, FeedState
from workers.live import FEEDS

#: Feeds beat each second. Who has missed the beats for this long knows nothing any more (milliseconds).
STALE_AFTER_MS = 3000
#: Redis answers in well under a millisecond; the rest of the five seconds that REST promises belongs to the store.
TIMEOUT_SECONDS = 1.0


class FeedSource(Protocol):
    """Where the newest feed events are; every method raises `redis.RedisError` if it does not answer."""

    def newest(self) -> list[FeedEvent]:
        """The newest event of each exchange, in the order of their names."""

    def ping(self) -> None:
        """Return if it answers."""


class LiveFeeds:
    """Feed events in the live side's Redis; connects on first use, safe for use from several threads."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._client: redis.Redis | None = None

    def newest(self) -> list[FeedEvent]:
        """The newest event of each exchange, in the order of their names; what cannot be read is left out."""
        events = []
        texts = cast("dict[bytes, bytes]", self._connected().hgetall(FEEDS))
        for _, text in sorted(texts.items()):
            try:
                events.append(decode_event(text))
            except DecodeError:
                continue
        return events

    def ping(self) -> None:
        """Return if Redis answers."""
        self._connected().ping()

    def _connected(self) -> redis.Redis:
        with self._lock:
            if self._client is None:
                self._client = redis.Redis.from_url(
                    self._url,
                    socket_timeout=TIMEOUT_SECONDS,
                    socket_connect_timeout=TIMEOUT_SECONDS,
                    # One more try, because an idle connection may have been closed by a restart.
                    retry=Retry(NoBackoff(), 1),
                )
            return self._client


def as_known_at(event: FeedEvent, now_ms: int) -> FeedEvent:
    """The event, or the same with ``feed`` stale if no beat has come for three seconds (Unix milliseconds)."""
    silence_ms = now_ms - event.at
    if silence_ms <= STALE_AFTER_MS or event.feed is FeedState.DOWN:
        return event
    reason = f"no beat for {silence_ms // 1000} s"
    return msgspec.structs.replace(event, feed=FeedState.STALE, since=event.at, reason=reason)
