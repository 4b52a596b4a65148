"""Workers that write every version of a candle over whatever is stored, newer or not."""

from typing import Any

from bson.int64 import Int64
from pymongo import UpdateOne

from workers import fanout, persist
from workers.store import CandleStore

__all__ = ["fanout", "persist"]


def _overwrite(self: CandleStore, rows: list[tuple[Any, int, dict[str, Any]]]) -> None:
    updates = [
        UpdateOne({"_id": id_}, {"$set": {**document, "rev": Int64(rev)}}, upsert=True) for id_, rev, document in rows
    ]
    if updates:
        self._candles.bulk_write(updates, ordered=False)


CandleStore._write_rows = _overwrite  # type: ignore[method-assign]
