"""Workers and a bridge that write every version of a candle over whatever is stored, newer or not."""

import sys

from bson.int64 import Int64
from pymongo import UpdateOne

from workers import fanout, persist
from workers.__main__ import main
from workers.guarded_writes import GuardedWriter, Write

__all__ = ["fanout", "persist"]


def _overwrite(self: GuardedWriter, rows: list[Write]) -> None:
    updates = [UpdateOne({"_id": row.id}, {"$set": {**row.fields, "rev": Int64(row.rev)}}, upsert=True) for row in rows]
    if updates:
        self._candles.bulk_write(updates, ordered=False)


GuardedWriter.write_rows = _overwrite  # type: ignore[method-assign]

if __name__ == "__main__":
    sys.exit(main())
