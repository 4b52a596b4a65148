"""How larger candles change in the store, looked at about once a second."""

import time
from collections.abc import Callable

from pymongo.errors import PyMongoError

from tests.chaos.evidence import LargerKey, LargerSample
from tests.chaos.taps.store import StoreReader
from tests.chaos.taps.tap import Tap


class LargerSampler(Tap):
    """Notes each change that it sees; what happens between two looks stays unseen."""

    pause_seconds = 0.7

    def __init__(self, mongo_uri: str, life: Callable[[], int]) -> None:
        """``life`` says how often the store has been replaced by an older copy."""
        super().__init__()
        self._store, self._life = StoreReader(mongo_uri), life
        self.samples: dict[LargerKey, list[LargerSample]] = {}

    def look(self) -> None:
        """Look at all of them."""
        life, at = self._life(), time.time()
        try:
            found = self._store.larger()
        except PyMongoError:
            return
        if self._life() != life:
            return
        for key, candle in found.items():
            samples = self.samples.setdefault(key, [])
            if not samples or (samples[-1].life, samples[-1].candle) != (life, candle):
                samples.append(LargerSample(at, life, candle))

    def close(self) -> None:
        """Close the connections."""
        self._store.close()
