"""/livez, /readyz, /health, /metrics: the process, what it needs, how fresh the data is, and numbers.

Freshness is not readiness: when an exchange dies, history must go on being served, so a load balancer asks
``/readyz`` and an alarm asks ``/health``.
"""

import threading
from collections.abc import Callable
from typing import Final, Literal

import falcon
import redis
from msgspec import Struct

from ingest.candle import Interval, Series
from ingest.clock import Clock, now_ms
from ingest.events import FeedState
from web import metrics
from web.errors import RETRY_AFTER_SECONDS
from web.feeds import FeedSource, as_known_at
from web.reading import DEADLINE_SECONDS, PROBE_SECONDS, GetStore
from web.resources.base import Resource, write_json
from web.settings import Settings
from workers.errors import StoreUnavailable
from workers.store import deadline

NO_ANSWER: Final = "does not answer"
#: How old an answer of ``/health`` may be (seconds). It asks the store for each pair, and anybody may ask for it.
SHARED_SECONDS: Final = 1.0

Check = Literal["ok", "does not answer"]


class Checks(Struct):
    """Whether each service answers."""

    store: Check
    live: Check


class Readiness(Struct):
    """The answer of ``/readyz``."""

    status: Literal["ready", "not ready"]
    checks: Checks


class Freshness(Struct):
    """The answer of ``/health``: a sentence for each feed and each candle that is not as it should be."""

    status: Literal["fresh", "stale"]
    problems: list[str]


class Livez(Resource):
    """Whether the process answers requests; asks nobody else, or an outage of a service would restart us."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer ``ok``."""
        resp.content_type = falcon.MEDIA_TEXT
        resp.set_header("Cache-Control", "no-store")
        resp.text = "ok\n"


class Readyz(Resource):
    """Whether the services that this process needs answer."""

    def __init__(self, get_store: GetStore, feeds: FeedSource) -> None:
        self._get_store, self._feeds = get_store, feeds

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 200, or 503 naming what does not answer."""
        checks = Checks(store=_answers(self._ping_store), live=_answers(self._feeds.ping))
        ready = checks == Checks("ok", "ok")
        if not ready:
            resp.status = falcon.HTTP_503
            resp.set_header("Retry-After", str(RETRY_AFTER_SECONDS))
        write_json(resp, Readiness("ready" if ready else "not ready", checks), cache="no-store")

    def _ping_store(self) -> None:
        with deadline(PROBE_SECONDS):
            self._get_store().ping()


class Health(Resource):
    """Whether the data is fresh; who asks within a second, or while the services are being asked, gets one answer."""

    def __init__(self, get_store: GetStore, feeds: FeedSource, clock: Clock, settings: Settings) -> None:
        self._get_store, self._feeds, self._clock, self._settings = get_store, feeds, clock, settings
        self._lock = threading.Lock()
        self._asked_at = float("-inf")
        self._problems: list[str] = []

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 200, or 503 naming every configured feed that is not live and every candle that is too old."""
        with self._lock:
            if self._clock.monotonic() - self._asked_at >= SHARED_SECONDS:
                now = now_ms(self._clock)
                self._problems = [*self._feed_problems(now), *self._candle_problems(now)]
                self._asked_at = self._clock.monotonic()
            problems = self._problems
        if problems:
            resp.status = falcon.HTTP_503
        write_json(resp, Freshness("stale" if problems else "fresh", problems), cache="no-store")

    def _feed_problems(self, now: int) -> list[str]:
        try:
            events = {event.exchange: as_known_at(event, now) for event in self._feeds.newest()}
        except redis.RedisError:
            return [f"the live side {NO_ANSWER}"]
        problems = []
        for exchange in self._settings.exchange:
            event = events.get(exchange)
            if event is None:
                problems.append(f"feed {exchange}: never heard of, expected live")
            elif event.feed is not FeedState.LIVE:
                reason = f" ({event.reason})" if event.reason else ""
                problems.append(f"feed {exchange}: {event.feed.value}{reason}, expected live")
        return problems

    def _candle_problems(self, now: int) -> list[str]:
        problems = []
        try:
            with deadline(DEADLINE_SECONDS):
                for exchange, pairs in self._settings.configured.items():
                    for pair in pairs:
                        problems += self._age_problem(Series(exchange, pair, Interval.M1), now)
        except StoreUnavailable:
            problems.append(f"the store {NO_ANSWER}")
        return problems

    def _age_problem(self, series: Series, now: int) -> list[str]:
        newest = self._get_store().find(series, limit=1)
        most = self._settings.max_candle_age_seconds
        if not newest:
            return [f"candles {series.key}: none stored, expected one that ended at most {most} s ago"]
        age_seconds = (now - newest[0].timestamp - series.interval.milliseconds) // 1000
        if age_seconds <= most:
            return []
        return [f"candles {series.key}: the newest ended {age_seconds} s ago, expected at most {most} s"]


class Metrics(Resource):
    """Numbers for Prometheus, of all of gunicorn's workers."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer in Prometheus' text format."""
        resp.content_type = metrics.CONTENT_TYPE
        resp.set_header("Cache-Control", "no-store")
        resp.data = metrics.exposition()


def _answers(ping: Callable[[], None]) -> Check:
    try:
        ping()
    except (StoreUnavailable, redis.RedisError):
        return NO_ANSWER
    return "ok"
