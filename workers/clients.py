"""Redis clients with explicit time-outs and retries.

`Redis.from_url` silently leaves out the retries that `Redis(host=…)` has, and without time-outs a Redis that is frozen
rather than gone holds its callers for ever.
"""

from typing import Final

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

CONNECT_SECONDS: Final = 2.0
#: Above the second that blocking commands wait in Redis.
ANSWER_SECONDS: Final = 2.0


def redis_client(url: str, retries: int = 3) -> "redis.Redis":
    """A client that repeats a command whose connection broke up to ``retries`` times, within about a second.

    A time-out is not repeated: the server is there and slow, and the caller has its own deadline.
    """
    backoff = ExponentialWithJitterBackoff(cap=0.5, base=0.05)
    return redis.Redis.from_url(
        url,
        socket_connect_timeout=CONNECT_SECONDS,
        socket_timeout=ANSWER_SECONDS,
        retry=Retry(backoff, retries, supported_errors=(redis.ConnectionError, ConnectionError)),
    )
