"""A client of the live side's Redis for REST: connects on first use, safe for use from several threads."""

import threading

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

#: Redis answers in well under a millisecond; the rest of the five seconds that REST promises belongs to the store.
TIMEOUT_SECONDS = 1.0


class LiveClient:
    """One per process."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._client: redis.Redis | None = None

    def connected(self) -> "redis.Redis":
        """The client; every command raises `redis.RedisError` if Redis does not answer."""
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
