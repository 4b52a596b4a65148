"""Larger candles on the live side, computed in memory as their minutes come.

Every row a pair's `Tower` takes in; what follows is computed and published at once for pairs that somebody watches in
a larger interval, and for the others when a minute closes, or after `UNWATCHED_SECONDS`. So the cost follows the
interest, and a window that nobody watched has no hole when somebody comes.

Nothing is kept: a tower is built from the live side and the store, of each candle the higher `rev`, when the first row
of its pair comes. From then on neither is asked again, but for corrections of what is no longer in memory.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence, Set
from itertools import chain
from typing import Final
from weakref import WeakSet

import redis

from ingest.candle import Candle, Interval, Series
from ingest.codec import encode_candle
from workers import metrics
from workers.clients import redis_client
from workers.fanout import get_live
from workers.jobs import Refused, Rows, read_candles
from workers.live import CHANNELS, LiveSide, channel_series
from workers.outage import Outage
from workers.rollup import Bucket
from workers.settings import Settings
from workers.store import CandleStore, get_store
from workers.tower import Tower
from workers.tower_loader import TowerLoader

logger = logging.getLogger(__name__)

#: How old a running candle of the live side may be that nobody watches (seconds).
UNWATCHED_SECONDS: Final = 60.0
#: How often it is asked who watches (seconds).
LOOK_SECONDS: Final = 0.2
#: How often it is asked for what is missing in a day (seconds).
FILL_SECONDS: Final = 60.0
#: So many candles are published in one round trip.
_CANDLES_AT_ONCE: Final = 1000
#: So many towers are kept at most: a topic may be flooded with series, each of them for one record.
MAX_TOWERS: Final = 10_000
#: So many minutes to compute from and candles to publish may wait for Redis and the store, per partition.
MAX_WAITING: Final = 100_000


class LargerLive:
    """What the partitions of one bridge share: the live side, the store, and who is watched."""

    def __init__(
        self,
        client: "redis.Redis",
        live: LiveSide,
        get_store: Callable[[], CandleStore],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.monotonic = monotonic
        self._client, self._live = client, live
        #: What towers have not seen themselves.
        self.loader = TowerLoader(client, get_store, monotonic)
        # Assignments begin in another thread.
        self._lock = threading.Lock()
        self._partitions: WeakSet[Partition] = WeakSet()
        self._watched: frozenset[Series] = frozenset()
        self._look_due_at = float("-inf")
        self._redis = Outage(logger, "the live side, asked for larger candles,")

    def begin(self) -> "Partition":
        """What applies the batches of one assignment of one partition."""
        partition = Partition(self)
        with self._lock:
            self._partitions.add(partition)
        return partition

    def upkeep(self) -> None:
        """Publish what is due, of all partitions at once; called every so often by the thread that applies batches."""
        now = self.monotonic()
        if now >= self._look_due_at:
            self._look_due_at = now + LOOK_SECONDS
            self._look_who_watches()
        with self._lock:
            partitions = list(self._partitions)
        due = {partition: partition.due(now) for partition in partitions}
        ready = set(self.loader.load(list(chain.from_iterable(due.values()))))
        for partition, towers in due.items():
            partition.compute(tower for tower in towers if tower in ready)
        if self._publish([candle for partition in partitions for candle in partition.unpublished.values()]):
            for partition in partitions:
                partition.published()

    def _look_who_watches(self) -> None:
        try:
            channels = self._client.pubsub_channels(CHANNELS)
        except redis.RedisError as error:
            self._redis.failed(error)
            return
        watched = filter(None, (channel_series(name) for name in channels if isinstance(name, bytes)))
        self._watched = frozenset(
            series._replace(interval=Interval.M1) for series in watched if series.interval is not Interval.M1
        )

    def is_watched(self, minutes: Series) -> bool:
        """Whether somebody watches a larger interval of this pair."""
        return minutes in self._watched

    def _publish(self, candles: Sequence[Candle]) -> bool:
        """Publish; False if the live side did not answer, and nothing is known."""
        if not candles:
            return True
        try:
            for start in range(0, len(candles), _CANDLES_AT_ONCE):
                some = candles[start : start + _CANDLES_AT_ONCE]
                for result in self._live.publish_all([(candle, encode_candle(candle)) for candle in some]):
                    metrics.LARGER_LIVE.labels(result.name.lower()).inc()
        except redis.RedisError as error:
            self._redis.failed(error)
            return False
        self._redis.answered()
        return True


class Partition:
    """The towers of the pairs of one partition, for as long as it is assigned; takes in its batches.

    A batch has taken effect when it is in memory, which is gone with the process: so it may be committed only up to
    `owed_from`.
    """

    def __init__(self, shared: LargerLive) -> None:
        self._shared = shared
        self._towers: dict[Series, Tower] = {}
        #: Towers that are behind, and since when (monotonic seconds); those of them that must not wait.
        self._behind: dict[Series, float] = {}
        self._urgent: set[Series] = set()
        self._fill_due_at = shared.monotonic() + FILL_SECONDS
        #: The newest version of each candle that the live side may not have yet.
        self.unpublished: dict[Bucket, Candle] = {}
        # Pairs of which the live side may lack something, with the offset of the first row that it may lack.
        self._owed: dict[Series, int] = {}
        #: The lowest of these. Who comes next has to read from there: a pair may be silent for long.
        self.owed_from: int | None = None

    def __call__(self, rows: Rows) -> Refused | None:
        """Take in a batch; returns the rows that cannot be read, None if so much waits that Kafka has to hold them."""
        if len(self.unpublished) + sum(self._towers[series].behind for series in self._behind) >= MAX_WAITING:
            return None
        offsets, candles, refused = read_candles(rows)
        if not self._make_room({candle.series for candle in candles}):
            return None
        now = self._shared.monotonic()
        for offset, candle in zip(offsets, candles, strict=True):
            minutes = candle.series
            if minutes.interval is Interval.M1 and self._tower(minutes).add(candle):
                self._behind.setdefault(minutes, now)
                # A batch that was not taken in may come after a later one.
                self._owed[minutes] = min(offset, self._owed.get(minutes, offset))
                if candle.state.is_closed:
                    self._urgent.add(minutes)
        self._note_owed()
        return refused

    def due(self, now: float) -> list[Tower]:
        """Towers to be computed: a minute was closed, somebody watches, or they have waited long enough."""
        if now >= self._fill_due_at:
            self._fill_due_at = now + FILL_SECONDS
            self._shared.loader.fill(self._towers.values())
            for series, tower in self._towers.items():
                if tower.behind:
                    self._behind.setdefault(series, now)
        long_ago = now - UNWATCHED_SECONDS
        return [
            self._towers[series]
            for series, since in self._behind.items()
            if series in self._urgent or since < long_ago or self._shared.is_watched(series)
        ]

    def compute(self, towers: Iterable[Tower]) -> None:
        """Compute what is to be published."""
        for tower in towers:
            for candle in tower.compute():
                self.unpublished[Bucket(candle.series, candle.timestamp)] = candle
            del self._behind[tower.minutes]
            self._urgent.discard(tower.minutes)

    def published(self) -> None:
        """The live side has everything that is `unpublished`."""
        self.unpublished.clear()
        self._owed = {series: offset for series, offset in self._owed.items() if series in self._behind}
        self._note_owed()

    def _note_owed(self) -> None:
        self.owed_from = min(self._owed.values(), default=None)

    def _tower(self, minutes: Series) -> Tower:
        tower = self._towers.get(minutes)
        if tower is None:
            tower = self._towers[minutes] = Tower(minutes)
        return tower

    def _make_room(self, wanted: Set[Series]) -> bool:
        """Whether so many towers may be held, perhaps without those that are idle: these are loaded once more."""
        # Only what is new is looked at: this is asked with every batch.
        new = wanted - self._towers.keys()
        if len(self._towers) + len(new) <= MAX_TOWERS:
            return True
        busy = wanted | self._owed.keys() | self._behind.keys()
        self._towers = {series: tower for series, tower in self._towers.items() if series in busy}
        return len(self._towers) + len(new) <= max(MAX_TOWERS, len(wanted))


_lock = threading.Lock()
_larger: LargerLive | None = None


def get_larger_live() -> LargerLive:
    """This process's, made on first use from the environment."""
    global _larger
    with _lock:
        if _larger is None:
            _larger = LargerLive(redis_client(Settings.from_env().live_url), get_live(), get_store)
        return _larger
