"""Writes that only move candles forward, whoever else writes, in whatever order, however often.

A write carries the guard ``rev < mine``. Only operations that MongoDB 6 to 8 and FerretDB both honour; of an error only
its code and index are read.
"""

import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from bson import ObjectId
from bson.int64 import Int64
from pymongo import UpdateOne
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError

from ingest.candle import Series
from workers import metrics
from workers.documents import Document, series_document, series_hash
from workers.errors import SeriesCollision

#: The guard did not match and the document exists: not newer, or two first inserts raced.
_DUPLICATE_KEY: Final = 11000
#: How long a series is believed to be written down. The store may be restored from an older copy at any time.
_KNOWN_SECONDS: Final = 60.0
#: So many are remembered at most: a topic may be flooded with series, each of them for one record.
MAX_KNOWN_SERIES = 10_000


class Write(NamedTuple):
    """One version of one candle, and where it goes."""

    id: ObjectId
    rev: int
    #: Everything but the ``_id``.
    fields: Document


class GuardedWriter:
    """Writes candles and series; every method raises `PyMongoError` if it is not known to be done."""

    def __init__(self, candles: Collection[Document], series: Collection[Document]) -> None:
        self._candles, self._series = candles, series
        self._known: dict[Series, float] = {}
        self._replaying = False

    def write_series(self, all_series: set[Series]) -> None:
        """Write series down that are not known to be; their candles come after them.

        Raises:
            SeriesCollision: If a series' hash belongs to another series.
        """
        now = time.monotonic()
        unknown = {
            series_hash(series): series for series in all_series if self._known.get(series, -_KNOWN_SECONDS) < now
        }
        if not unknown:
            return
        self._series.bulk_write(
            [
                UpdateOne({"_id": head}, {"$setOnInsert": series_document(series)}, upsert=True)
                for head, series in sorted(unknown.items())
            ],
            ordered=False,
        )
        held = {bytes(each["_id"]): each for each in self._series.find({"_id": {"$in": list(unknown)}})}
        if len(self._known) + len(unknown) > MAX_KNOWN_SERIES:
            self._known.clear()  # the others are asked for once more
        for head, series in unknown.items():
            document = held.get(head, {})
            if {name: document.get(name) for name in Series._fields} != series_document(series):
                raise SeriesCollision(series.key, "|".join(str(document.get(name)) for name in Series._fields))
            self._known[series] = now + _KNOWN_SECONDS

    def write_rows(self, rows: list[Write]) -> None:
        """Write every row that is newer than what is stored.

        While a replay runs (most rows are not newer) the revisions are read first, which is several times as fast as
        letting the guard refuse them one by one. The guard stays: between the read and the write others may write.
        """
        count = len(rows)
        if self._replaying:
            rows = self._newer(rows)
        refused = self._upsert(rows)
        # Most of these are not newer. Two first inserts of one candle may also have raced; the loser, if it is the
        # newer one, is written now that the document exists.
        again = self._newer(refused)
        refused_again = self._upsert(again)
        unchanged = count - (len(rows) - len(refused)) - (len(again) - len(refused_again))
        self._replaying = unchanged * 2 > count
        metrics.CANDLES_NOT_NEWER.inc(unchanged)
        metrics.CANDLES_PERSISTED.inc(count - unchanged)

    def _upsert(self, rows: list[Write]) -> list[Write]:
        """Write rows under the guard and return those that it refused."""
        if not rows:
            return []
        updates = [
            UpdateOne({"_id": row.id, "rev": {"$lt": Int64(row.rev)}}, {"$set": row.fields}, upsert=True)
            for row in rows
        ]
        return [rows[place] for place in refused_by_guard(self._candles, updates)]

    def _newer(self, rows: list[Write]) -> list[Write]:
        """Those rows whose ``rev`` is above the stored one, or that are not stored."""
        if not rows:
            return []
        ids = [row.id for row in rows]
        cursor = self._candles.find({"_id": {"$in": ids}}, {"rev": 1}).batch_size(len(ids) + 1)
        held = {each["_id"]: each["rev"] for each in cursor}
        return [row for row in rows if held.get(row.id, -1) < row.rev]


def refused_by_guard(candles: Collection[Document], updates: Sequence[UpdateOne]) -> list[int]:
    """Upsert under guards; returns the places of those whose guard did not match although the document exists.

    Args:
        candles: Where to.
        updates: At least one, in the order of their ids: unsorted concurrent bulks deadlock on FerretDB.

    Raises:
        PyMongoError: If it is not known that all others took effect.
    """
    try:
        candles.bulk_write(list(updates), ordered=False)
    except BulkWriteError as error:
        details = error.details or {}
        errors = details.get("writeErrors", [])
        if details.get("writeConcernErrors") or any(each.get("code") != _DUPLICATE_KEY for each in errors):
            raise
        return [int(each["index"]) for each in errors]
    return []
