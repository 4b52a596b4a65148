"""A client of Redis for REST: connects on first use, safe for use from several threads."""

import threading

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

#: Redis answers in well under a millisecond; the rest of the five seconds that REST promises belongs to the store.
TIMEOUT_SECONDS = 1.0


class LiveClient:
    """One per process and time-out."""

    def __init__(self, url: str, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._url, self._timeout_seconds = url, timeout_seconds
        self._lock = threading.Lock()
        self._client: redis.Redis | None = None

    def connected(self) -> "redis.Redis":
        """The client; every command raises `redis.RedisError` if Redis does not answer."""
        with self._lock:
            if self._client is None:
                self._client = redis.Redis.from_url(
                    self._url,
                    socket_timeout=self._timeout_seconds,
                    socket_connect_timeout=self._timeout_seconds,
                    # One more try where the connection broke, because an idle one may have been closed by a restart.
                    retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
                )
            return self._client
