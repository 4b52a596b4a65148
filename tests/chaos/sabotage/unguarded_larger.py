"""Workers and a bridge that write larger candles over whatever is stored by then, some of them later than others."""

import sys
import time
from collections.abc import Mapping
from itertools import count

from pymongo import UpdateOne

from ingest.candle import Candle
from workers import fanout, larger_candles, persist
from workers.__main__ import main
from workers.buckets import Buckets
from workers.documents import document_of
from workers.rollup import Bucket

__all__ = ["fanout", "larger_candles", "persist"]

#: Every so many writes one stands still between reading and writing, for longer than others take to read and write.
_SLOW_EVERY = 5
_SLOW_SECONDS = 2.0
_numbers = count()


def _overwrite(self: Buckets, versions: Mapping[Bucket, Candle], stored: Mapping[Bucket, Candle]) -> list[Bucket]:
    if versions and next(_numbers) % _SLOW_EVERY == 0:
        time.sleep(_SLOW_SECONDS)
    self._writer.write_series({bucket.series for bucket in versions})
    documents = sorted(map(document_of, versions.values()), key=lambda document: document["_id"])
    updates = [UpdateOne({"_id": each.pop("_id")}, {"$set": each}, upsert=True) for each in documents]
    if updates:
        self._candles.bulk_write(updates, ordered=False)
    return []


Buckets._write = _overwrite  # type: ignore[method-assign]

if __name__ == "__main__":
    sys.exit(main())
