"""The REST application on a store and feeds in memory."""

from collections.abc import Sequence
from typing import Any, cast

import falcon.testing
import redis

from ingest.candle import Candle, Series, State
from ingest.events import EventKind, FeedEvent, FeedState
from tests.conftest import MINUTE_MS, FakeClock, make_candle, minute
from web.app import create_app
from web.settings import Settings
from web.status import Heard
from workers.errors import StoreUnavailable
from workers.presence import Program
from workers.stored_rows import StoredRow


class MemoryStore:
    """Candles in a list; `away` makes it fail as the real one does."""

    def __init__(self, candles: list[Candle]) -> None:
        self.candles = candles
        self.away = False

    def find(
        self,
        series: Series,
        since_ms: int | None = None,
        until_ms: int | None = None,
        *,
        limit: int,
        newest_first: bool = True,
    ) -> list[Candle]:
        self.ping()
        rows = [
            candle
            for candle in self.candles
            if candle.series == series
            and (since_ms is None or candle.timestamp >= since_ms)
            and (until_ms is None or candle.timestamp <= until_ms)
        ]
        return sorted(rows, key=lambda candle: candle.timestamp, reverse=newest_first)[:limit]

    def find_rows(
        self,
        series: Series,
        since_ms: int | None = None,
        until_ms: int | None = None,
        *,
        limit: int,
        newest_first: bool = True,
        finals_only: bool = False,
    ) -> list[StoredRow]:
        candles = self.find(series, since_ms, until_ms, limit=len(self.candles) + 1, newest_first=newest_first)
        rows = [
            (candle.timestamp, *map(str, candle.values), candle.state.value, candle.rev, candle.minutes)
            for candle in candles
            if not finals_only or candle.state in (State.FINAL, State.CORRECTED)
        ]
        return cast("list[StoredRow]", rows[:limit])

    def series(self) -> list[Series]:
        self.ping()
        return sorted({candle.series for candle in self.candles})

    def edges(self, all_series: Sequence[Series], *, newest: bool) -> dict[Series, int]:
        self.ping()
        held = sorted(self.candles, key=lambda candle: candle.timestamp, reverse=not newest)
        return {candle.series: candle.timestamp for candle in held if candle.series in all_series}

    def ping(self) -> None:
        if self.away:
            raise StoreUnavailable("ping", "No servers found, host mongo.internal")


class MemoryFeeds:
    """Feed events in a list."""

    def __init__(self, events: list[FeedEvent]) -> None:
        self.events = events
        self.away = False

    def newest(self) -> list[FeedEvent]:
        self.ping()
        return self.events

    def ping(self) -> None:
        if self.away:
            raise redis.ConnectionError("Connection refused, host redis.internal")


class MemoryPrograms:
    """What programs say, in a list."""

    def __init__(self, programs: list[Program]) -> None:
        self.programs = programs
        self.away = False

    def heard(self) -> Heard:
        if self.away:
            raise redis.ConnectionError("Connection refused, host redis.internal")
        return Heard(minute(6), self.programs)


class Served:
    """An application with what it stands on."""

    def __init__(self, **settings: Any) -> None:
        self.store = MemoryStore([make_candle(number) for number in range(5)])
        self.feeds = MemoryFeeds([FeedEvent("sim", EventKind.BEAT, FeedState.LIVE, since=MINUTE_MS, at=minute(6))])
        self.programs = MemoryPrograms([])
        self.clock = FakeClock(unix_us=minute(6) * 1000)
        app = create_app(
            Settings.from_env(pairs=("BTC-USD",), **settings),
            get_store=lambda: self.store,
            feeds=self.feeds,
            programs=self.programs,
            clock=self.clock,
        )
        self.client = falcon.testing.TestClient(app)

    def get(self, path: str, **options: Any) -> falcon.testing.Result:
        return self.client.simulate_get(path, **options)
