"""What is held of one pair in memory to compute its larger candles as its minutes come. Pure.

Minutes at the bottom, days at the top: of each level what the newest two candles of the level above are made of. A
candle is computed only when all that is known of what it is made of is held: because it opened while this watched, or
because it was loaded.
"""

from collections.abc import Iterable
from typing import Final

from ingest.candle import Candle, Interval, Series
from workers.rollup import LEVELS, Bucket, bucket_of, open_time, recomputed

_LAST: Final = list(LEVELS)[-1]
#: A candle: its series and open time.
Place = tuple[Series, int]


class Tower:
    """The newest candles of one pair on one exchange, of every interval."""

    def __init__(self, minutes: Series) -> None:
        """``minutes``: the pair's series of minutes."""
        self.minutes = minutes
        self._held: dict[Interval, dict[int, Candle]] = {interval: {} for interval in (Interval.M1, *LEVELS)}
        self._newest = -1
        # Buckets that opened after this are whole; None until it is known how far the series was when this began.
        self._began: int | None = None
        self._loaded: set[Bucket] = set()
        # The oldest candle of each interval of which no part has been forgotten.
        self._oldest = dict.fromkeys(LEVELS, -1)
        # Loaded since the last `compute`. What is held of them may be the store's, and never have been published.
        self._just_loaded: set[Bucket] = set()
        # Minutes whose candles have not been computed since they changed.
        self._changed: set[int] = set()

    @property
    def behind(self) -> int:
        """How many minutes have changed, or may be over, since the last `compute`."""
        return len(self._changed)

    def add(self, minute: Candle) -> bool:
        """Take a version of a minute; whether it is newer than what is held."""
        if not self._keep(minute):
            return False
        self._changed.add(minute.timestamp)
        if minute.timestamp > self._newest:
            if self._newest >= 0:
                self._changed.add(self._newest)  # its candles may be over now
            self._newest = minute.timestamp
        return True

    def holes(self) -> set[Place]:
        """Candles to look for again: of a day in which minutes are missing, all that its running candle is made of.

        Minutes may just have been quiet. Or they came before this watched, and what they belong to was not computed
        yet when it was loaded.
        """
        day = self._held[_LAST].get(open_time(self._newest, _LAST))
        if day is None or day.minutes > (self._newest - day.timestamp) // Interval.M1.milliseconds:
            return set()
        running = (bucket_of(self.minutes, interval, self._newest) for interval in LEVELS)
        return {(bucket.below, time) for bucket in running for time in bucket.part_times}

    def fill(self, found: Iterable[Candle]) -> None:
        """Take what was found of the `holes`."""
        if sum(self._keep(candle) for candle in found):
            self._changed.add(self._newest)

    def missing(self) -> set[Place]:
        """The candles that may exist elsewhere and are needed for `compute`."""
        return {
            place
            for bucket in self._to_compute()
            if not self._is_whole(bucket)
            for place in (*((bucket.below, time) for time in bucket.part_times), (bucket.series, bucket.timestamp))
        }

    @property
    def first_wanted_ms(self) -> int | None:
        """Before which open time `load` has to know of one more minute; None: it need not know of any."""
        return min(self._changed) if self._began is None and self._changed else None

    def load(self, found: Iterable[Candle], known_ms: Iterable[int] = ()) -> None:
        """Take what was found of all that is `missing`.

        Args:
            found: The candles.
            known_ms: The first time, open times of the series' minutes: the newest one, and the one before
                `first_wanted_ms`.
        """
        for candle in found:
            self._keep(candle)
        buckets = self._to_compute()
        self._loaded.update(buckets)
        self._just_loaded.update(buckets)
        if self._began is None:
            times = set(known_ms)
            self._newest = self._began = max(times | {self._newest})
            # What the minutes before belong to may have been left open by who watched before.
            before = (max((each for each in times if each < time), default=None) for time in self._changed)
            self._changed |= {each for each in before if each is not None}

    def compute(self) -> list[Candle]:
        """Compute what the changed minutes belong to; returns what is new or was loaded, smallest interval first.

        Raises:
            ValueError: If something is `missing`.
        """
        changed = []
        for bucket in self._to_compute():
            if not self._is_whole(bucket):
                raise ValueError(f"{bucket.series.key}@{bucket.timestamp} is not loaded")
            below, mine = self._held[bucket.below.interval], self._held[bucket.series.interval]
            parts = [below[time] for time in bucket.part_times if time in below]
            held = mine.get(bucket.timestamp)
            version = recomputed(bucket, parts, held, self._newest)
            if version is None and bucket in self._just_loaded:
                version = held
            if version is not None:
                mine[bucket.timestamp] = version
                changed.append(version)
        self._changed.clear()
        self._just_loaded.clear()
        self._forget()
        return changed

    def _keep(self, candle: Candle) -> bool:
        held = self._held[candle.interval].get(candle.timestamp)
        if held is not None and held.rev >= candle.rev:
            return False
        self._held[candle.interval][candle.timestamp] = candle
        return True

    def _to_compute(self) -> list[Bucket]:
        """In the order to compute them."""
        found = []
        for interval in LEVELS:
            found += sorted({bucket_of(self.minutes, interval, time) for time in self._changed})
        return found

    def _is_whole(self, bucket: Bucket) -> bool:
        if self._began is None:
            return False
        return bucket in self._loaded or (
            bucket.timestamp > self._began and bucket.timestamp >= self._oldest[bucket.series.interval]
        )

    def _forget(self) -> None:
        for interval, below in LEVELS.items():
            oldest = self._oldest[interval] = open_time(self._newest, interval) - interval.milliseconds
            for held in (self._held[below], self._held[_LAST] if interval is _LAST else {}):
                for time in [time for time in held if time < oldest]:
                    del held[time]
        self._loaded = {each for each in self._loaded if each.timestamp >= self._oldest[each.series.interval]}
