"""Where towers get what they have not seen themselves: the live side and the store, of each candle the higher `rev`."""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from itertools import chain
from typing import Final

import redis

from ingest.candle import Candle, Interval, Series
from ingest.codec import decode_candle
from ingest.errors import DecodeError
from workers.documents import document_id, series_hash
from workers.errors import StoreUnavailable
from workers.live import candles_key
from workers.outage import Outage
from workers.rollup import is_usable
from workers.store import CandleStore, deadline
from workers.tower import Place, Tower

logger = logging.getLogger(__name__)

#: One question for many pairs, and when the next one comes after one that was not answered (seconds).
ASK_SECONDS: Final = 2.0
ASK_AGAIN_SECONDS: Final = 10.0
#: So many pairs are asked for at once.
_TOWERS_AT_ONCE: Final = 50
_IDS_AT_ONCE: Final = 1000


class TowerLoader:
    """Asks for many towers at a time; not answering is an answer, and costs `ASK_SECONDS` at most now and then."""

    def __init__(
        self,
        client: "redis.Redis",
        get_store: Callable[[], CandleStore],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``client`` is the live side's."""
        self._client, self._get_store, self._monotonic = client, get_store, monotonic
        self._asked_again_at = float("-inf")
        self._outage = Outage(logger, "the store, asked for the minutes of larger candles,")

    def load(self, towers: Collection[Tower]) -> list[Tower]:
        """Give towers what they are missing; returns those that miss nothing any more."""
        ready: list[Tower] = []
        lacking: list[Tower] = []
        for tower in towers:
            (lacking if tower.missing() else ready).append(tower)
        for some in _groups(lacking):
            if not self._ask(partial(self._load_some, some)):
                break
            ready += some
        return ready

    def fill(self, towers: Iterable[Tower]) -> None:
        """Look for what fills the holes of towers; what cannot be asked now is asked the next time."""
        for some in _groups(tower for tower in towers if tower.holes()):
            if not self._ask(partial(self._fill_some, some)):
                return

    def _ask(self, question: Callable[[], None]) -> bool:
        """Ask the store and the live side, unless they have just not answered; whether they did."""
        if self._monotonic() < self._asked_again_at:
            return False
        try:
            with deadline(ASK_SECONDS):
                question()
        except (redis.RedisError, StoreUnavailable) as error:
            self._outage.failed(error)
            # Meanwhile the pairs that need nothing go on undisturbed.
            self._asked_again_at = self._monotonic() + ASK_AGAIN_SECONDS
            return False
        self._outage.answered()
        return True

    def _load_some(self, towers: Iterable[Tower]) -> None:
        while lacking := {tower: places for tower in towers if (places := tower.missing())}:
            found = self._find(lacking.values())
            for tower in lacking:
                tower.load(found[tower.minutes], self._known_times(tower.minutes, tower.first_wanted_ms))

    def _fill_some(self, towers: Collection[Tower]) -> None:
        found = self._find(tower.holes() for tower in towers)
        for tower in towers:
            tower.fill(found[tower.minutes])

    def _find(self, wanted: Iterable[set[Place]]) -> dict[Series, list[Candle]]:
        """What the live side and the store have of these candles, by the pair's series of minutes."""
        places = list(chain.from_iterable(wanted))
        found: dict[Series, list[Candle]] = defaultdict(list)
        for candle in chain(self._held_live(places), self._stored(places)):
            found[candle.series._replace(interval=Interval.M1)].append(candle)
        return found

    def _stored(self, places: Collection[Place]) -> Iterator[Candle]:
        store = self._get_store()
        by_id = {document_id(series_hash(series), timestamp): (series, timestamp) for series, timestamp in places}
        ids = list(by_id)
        for start in range(0, len(ids), _IDS_AT_ONCE):
            found = store.read_many(ids[start : start + _IDS_AT_ONCE])
            yield from (candle for id_, candle in found.items() if is_usable(candle, *by_id[id_]))

    def _held_live(self, places: Iterable[Place]) -> Iterator[Candle]:
        with self._client.pipeline(transaction=False) as pipeline:
            for series, timestamp in places:
                pipeline.hget(candles_key(series), str(timestamp))
            texts = pipeline.execute()
        for text in texts:
            try:
                yield decode_candle(text or b"")
            except DecodeError:
                continue

    def _known_times(self, minutes: Series, before_ms: int | None) -> set[int]:
        if before_ms is None:
            return set()
        store = self._get_store()
        times = {int(name) for name in self._client.hkeys(candles_key(minutes)) if name.isdigit()}
        # Of these alone the open times matter, so they may be anything.
        times |= set(store.edges([minutes], newest=True, until_ms=before_ms - 1).values())
        return times | set(store.edges([minutes], newest=True).values())


def _groups(towers: Iterable[Tower]) -> Iterator[list[Tower]]:
    left = list(towers)
    return (left[start : start + _TOWERS_AT_ONCE] for start in range(0, len(left), _TOWERS_AT_ONCE))
