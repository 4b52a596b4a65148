"""Workers and a bridge that write larger candles over whatever is stored by then, and one of them long afterwards."""

import sys
from collections.abc import Iterable, Mapping
from threading import Lock, Timer

from pymongo import UpdateOne

from ingest.candle import Candle
from workers import fanout, larger_candles, persist
from workers.__main__ import main
from workers.buckets import Buckets
from workers.documents import DocumentCollection, document_of
from workers.rollup import Bucket

__all__ = ["fanout", "larger_candles", "persist"]

#: How long nobody has written anything when the late one does (seconds): what it spoils nobody will make good.
_LATE_SECONDS = 1.0


def _overwrite(candles: DocumentCollection, versions: Iterable[Candle]) -> None:
    documents = sorted(map(document_of, versions), key=lambda document: document["_id"])
    updates = [UpdateOne({"_id": each.pop("_id")}, {"$set": each}, upsert=True) for each in documents]
    if updates:
        candles.bulk_write(updates, ordered=False)


class _Late:
    """A writer that has the first version of every candle and writes it when all others are done."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._first: dict[Bucket, Candle] = {}
        self._timer: Timer | None = None

    def see(self, candles: DocumentCollection, versions: Mapping[Bucket, Candle]) -> None:
        with self._lock:
            self._first = {**versions, **self._first}
            if self._timer is not None:
                self._timer.cancel()
            self._timer = Timer(_LATE_SECONDS, _overwrite, (candles, self._first.values()))
            self._timer.daemon = True
            self._timer.start()


_late = _Late()


def _write(self: Buckets, versions: Mapping[Bucket, Candle], stored: Mapping[Bucket, Candle]) -> list[Bucket]:
    self._writer.write_series({bucket.series for bucket in versions})
    _overwrite(self._candles, versions.values())
    _late.see(self._candles, versions)
    return []


Buckets._write = _write  # type: ignore[method-assign]

if __name__ == "__main__":
    sys.exit(main())
