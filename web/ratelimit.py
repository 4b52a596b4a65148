"""How many requests an address may make: counted in Redis for all processes and machines together.

Off by default. When Redis does not answer, requests are let through at once and counted: a limit protects the service
from clients, and must not become what takes it down.

Headers: draft-ietf-httpapi-ratelimit-headers-11, and ``Retry-After`` (RFC 9110) on 429.
"""

import logging
import math
import threading
from pathlib import Path
from typing import Final, NamedTuple, cast

import falcon
import redis
from redis.commands.core import Script

from ingest.clock import Clock
from web import metrics
from web.addresses import ClientAddresses, whose
from web.live_client import LiveClient
from workers.outage import Outage

logger = logging.getLogger(__name__)

WINDOW_SECONDS: Final = 60
#: A request waits no longer than this to be counted.
TIMEOUT_SECONDS: Final = 0.1
#: After a failure Redis is left alone for so long: a request in so many seconds pays for the attempt, and not each.
PAUSE_SECONDS: Final = 1.0
KEY_PREFIX: Final = "rest.rate:"
#: What must always be answered: probes, or a busy neighbour behind the same address would have us restarted; and
#: preflights, whose refusal a browser cannot tell from being forbidden to ask at all.
EXEMPT_PATHS: Final = frozenset({"/livez", "/readyz", "/health", "/metrics"})
#: Files of the web pages, some thirty for one page: they come from memory.
EXEMPT_PREFIX: Final = "/static/"

_SCRIPT = (Path(__file__).parent / "ratelimit.lua").read_text(encoding="utf-8")


class Verdict(NamedTuple):
    """What is left of a client's allowance."""

    allowed: bool
    remaining: int
    #: Until the allowance is whole again.
    reset_seconds: int
    #: Until another request is allowed; 0 if this one was.
    retry_seconds: int


class RequestCounter:
    """Counts requests in Redis; connects on first use, safe for use from several threads."""

    def __init__(self, url: str, quota: int, clock: Clock) -> None:
        """``quota``: requests per `WINDOW_SECONDS` and client."""
        self._quota, self._clock = quota, clock
        self._client = LiveClient(url, TIMEOUT_SECONDS)
        self._lock = threading.Lock()
        self._loaded: Script | None = None
        self._paused_until = -math.inf
        self._outage = Outage(logger, "the Redis of the rate limit")

    def take(self, client: str) -> Verdict | None:
        """Count a request of ``client``; None if nobody can say at the moment."""
        if self._clock.monotonic() < self._paused_until:
            return None
        try:
            answer = self._ask(KEY_PREFIX + client)
        except redis.RedisError as error:
            self._paused_until = self._clock.monotonic() + PAUSE_SECONDS
            self._outage.failed(error)
            return None
        self._outage.answered()
        allowed, remaining, reset_us, retry_us = answer
        return Verdict(allowed == 1, remaining, _seconds(reset_us), _seconds(retry_us))

    def _ask(self, key: str) -> list[int]:
        window_us = WINDOW_SECONDS * 1_000_000
        return cast("list[int]", self._script()(keys=[key], args=[self._quota, window_us]))

    def _script(self) -> Script:
        with self._lock:
            if self._loaded is None:
                self._loaded = self._client.connected().register_script(_SCRIPT)
            return self._loaded


class RateLimit:
    """Middleware that refuses requests beyond the quota of their address."""

    def __init__(self, counter: RequestCounter, quota: int, addresses: ClientAddresses) -> None:
        self._counter, self._addresses = counter, addresses
        self._policy = f'"address";q={quota};w={WINDOW_SECONDS}'

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Count the request and tell what is left.

        Raises:
            HTTPTooManyRequests: If the allowance is used up.
        """
        if req.path in EXEMPT_PATHS or req.path.startswith(EXEMPT_PREFIX) or req.method == "OPTIONS":
            return
        address = self._addresses.of(req.remote_addr or "", req.get_header("X-Forwarded-For"))
        verdict = self._counter.take(whose(address))
        if verdict is None:
            metrics.rest_uncounted_requests_total.inc()
            return
        resp.set_header("RateLimit-Policy", self._policy)
        resp.set_header("RateLimit", f'"address";r={verdict.remaining};t={verdict.reset_seconds}')
        if not verdict.allowed:
            metrics.rest_refused_requests_total.inc()
            raise falcon.HTTPTooManyRequests(
                description=f"More requests from this address than the limit allows; try again in "
                f"{verdict.retry_seconds} s. The RateLimit-Policy header has the limit.",
                retry_after=verdict.retry_seconds,
            )


def _seconds(microseconds: int) -> int:
    return math.ceil(microseconds / 1_000_000)
