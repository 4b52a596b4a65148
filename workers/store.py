"""CandleStore: with `workers.guarded_writes`, all that our processes ask MongoDB for.

`workers.documents` says what lies in it.

Only operations that MongoDB 6 to 8 and FerretDB both honour.
"""

import logging
import threading
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from decimal import DecimalException
from typing import NamedTuple, cast

import pymongo
from bson import ObjectId
from bson.errors import BSONError
from bson.int64 import Int64
from pymongo import MongoClient, ReturnDocument
from pymongo.database import Database
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from ingest.candle import Candle, Interval, Series
from workers import metrics
from workers.buckets import Buckets, Newest, Outcome, levels_of
from workers.documents import (
    FINAL_STATES,
    Document,
    candle_of,
    candle_or_none,
    document_of,
    id_range,
    opens_at,
    series_of,
)
from workers.edges import find_edges
from workers.errors import StoreUnavailable
from workers.guarded_writes import GuardedWriter, Write
from workers.outage import Outage
from workers.rollup import Bucket
from workers.settings import Settings
from workers.stored_rows import RowDecoder, StoredRow

logger = logging.getLogger(__name__)

#: One operation of the store.
TIMEOUT_SECONDS = 5.0
#: Counting looks at the id of every candle.
COUNT_SECONDS = 60.0
#: So many documents come with one answer where the number is not known: about half a megabyte.
MAX_BATCH = 2000


class Watermark(NamedTuple):
    """Everything below ``offset`` took effect, which the store was told ``advances`` times."""

    offset: int
    advances: int = 0


class CandleStore:
    """Candles, series and watermarks in one database; safe for use from several threads.

    Reads raise `StoreUnavailable`; a write says by its result whether it was done.
    """

    def __init__(
        self,
        client: MongoClient[Document],
        database: str,
        collection: str,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        """``timeout_seconds`` bounds each operation, all its round trips included."""
        self._client, self._timeout_seconds = client, timeout_seconds
        db = safe_database(client, database)
        self._candles = db[collection]
        self._series = db["series"]
        self._watermarks = db["watermarks"]
        self._outage = Outage(logger, "the store")
        self._writer = GuardedWriter(self._candles, self._series)
        self._buckets = Buckets(self._candles, self._writer)

    def write(self, candles: Sequence[Candle]) -> list[tuple[int, str]] | None:
        """Move candles forward; a candle that is not newer than what is stored changes nothing.

        Returns:
            The candles that can never be stored, as (index, reason), all others being stored or not newer.
            None if any of this is not known to be so: the whole of it must be repeated.

        Raises:
            SeriesCollision: If a series' hash belongs to another series.
        """
        refused: list[tuple[int, str]] = []
        rows: list[Write] = []
        for index, candle in enumerate(candles):
            try:
                document = document_of(candle)
            except (BSONError, DecimalException, OverflowError, ValueError) as error:
                refused.append((index, f"cannot be encoded for the store: {error}"))
            else:
                rows.append(Write(document.pop("_id"), candle.rev, document))
        # Unsorted concurrent bulks take the same locks in different orders and deadlock on FerretDB.
        rows.sort(key=lambda row: row.id)
        try:
            with pymongo.timeout(self._timeout_seconds):
                self._writer.write_series({candle.series for candle in candles})
                self._writer.write_rows(rows)
        except PyMongoError as error:
            metrics.STORE_ERRORS.labels(type(error).__name__).inc()
            self._outage.failed(error)
            return None
        self._outage.answered()
        return refused

    def find(
        self,
        series: Series,
        since_ms: int | None = None,
        until_ms: int | None = None,
        *,
        limit: int,
        newest_first: bool = True,
    ) -> list[Candle]:
        """The candles of a series that open from ``since_ms`` to ``until_ms``, both inclusive (Unix milliseconds).

        Args:
            series: Whose candles.
            since_ms: None: from the first.
            until_ms: None: to the last.
            limit: At most so many, 1 or more, counted from the side that comes first.
            newest_first: Newest first, else oldest first.

        Raises:
            StoreUnavailable: If the store does not answer in time.
        """
        ids = id_range(series, since_ms, until_ms)
        order = pymongo.DESCENDING if newest_first else pymongo.ASCENDING
        if ids is None:
            return []
        with self._reads("find"):
            # With a first batch as large as the limit the answer takes one round trip rather than two.
            cursor = self._candles.find({"_id": ids}).sort("_id", order).limit(limit).batch_size(limit)
            return [candle_of(series, document) for document in cursor]

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
        """The same as `find`, as rows of text, which is several times as fast for those who only pass it on.

        Args:
            series: Whose candles.
            since_ms: None: from the first.
            until_ms: None: to the last.
            limit: At most so many, 1 or more.
            newest_first: Newest first, else oldest first.
            finals_only: Only those whose state is ``final`` or ``corrected``.

        Raises:
            StoreUnavailable: If the store does not answer in time.
        """
        ids = id_range(series, since_ms, until_ms)
        order = pymongo.DESCENDING if newest_first else pymongo.ASCENDING
        if ids is None:
            return []
        matching = {"_id": ids} | ({"state": {"$in": list(FINAL_STATES)}} if finals_only else {})
        decoder = RowDecoder()
        with self._reads("find_rows"):
            batches = self._candles.find_raw_batches(matching).sort("_id", order).limit(limit).batch_size(limit)
            return [row for batch in batches for row in decoder.decode(cast(bytes, batch))]

    def read_many(self, ids: Collection[ObjectId]) -> dict[ObjectId, Candle | None]:
        """The candles with these ids (see `document_id`), whatever their series; some hundreds at once.

        Returns:
            What is stored, by id; None for a document that holds no candle. Ids without a document are left out.

        Raises:
            StoreUnavailable: If the store does not answer in time.
        """
        with self._reads("read_many"):
            documents = list(self._candles.find({"_id": {"$in": list(ids)}}).batch_size(len(ids) + 1))
        return {document["_id"]: candle_or_none(document) for document in documents}

    def read_range(self, series: Series, since_ms: int, until_ms: int) -> dict[int, Candle | None]:
        """All that is stored as candles of a series in a range of open times, whoever wrote or altered it.

        Args:
            series: Whose candles.
            since_ms: From this open time on (Unix milliseconds).
            until_ms: Up to this one, inclusive; so far that some thousands fit in between.

        Returns:
            By the open time in its id, what is stored; None for a document that holds no candle.

        Raises:
            StoreUnavailable: If the store does not answer in time.
        """
        ids = id_range(series, since_ms, until_ms)
        if ids is None:
            return {}
        with self._reads("read_range"):
            documents = list(self._candles.find({"_id": ids}).batch_size(MAX_BATCH))
        return {opens_at(document["_id"]): candle_or_none(document) for document in documents}

    def recompute(self, buckets: Sequence[Bucket], newest: Newest) -> Counter[Outcome]:
        """Compute larger candles again from those of the level below; see `Buckets.recompute`.

        Raises:
            StoreUnavailable: If the store does not answer in time; all of it must be repeated.
            SeriesCollision: If a series' hash belongs to another series.
        """
        with self._reads("recompute"):
            return self._buckets.recompute(buckets, newest)

    def roll_up(self, minutes: Collection[Candle]) -> Counter[Outcome]:
        """Make every larger candle right that these minutes belong to, as far as the store holds its minutes.

        Raises:
            StoreUnavailable: If the store does not answer in time; all of it must be repeated.
            SeriesCollision: If a series' hash belongs to another series.
        """
        newest = Newest()
        for minute in minutes:
            newest.learn(minute.series, minute.timestamp)
        found: Counter[Outcome] = Counter()
        for part in levels_of((minute.series, minute.timestamp) for minute in minutes):
            found += self.recompute(part, newest)
        return found

    def count(self, interval: Interval) -> int:
        """How many candles of this interval there are.

        Raises:
            StoreUnavailable: If the store does not answer within `COUNT_SECONDS`.
        """
        ranges = [id_range(series, None, None) for series in self.series() if series.interval is interval]
        with self._reads("count", COUNT_SECONDS):
            # The primary key alone answers.
            return sum(self._candles.count_documents({"_id": ids}) for ids in ranges)

    def series(self) -> list[Series]:
        """Every series that has, or is about to have, a candle; in the order of their keys."""
        with self._reads("series"):
            documents = list(self._series.find())
        return sorted(series for each in documents if (series := series_of(each)) is not None)

    def edges(self, all_series: Sequence[Series], *, newest: bool, until_ms: int | None = None) -> dict[Series, int]:
        """The newest, or else the earliest, open time of each series (Unix milliseconds) that has candles.

        ``until_ms`` leaves out what opens later.

        Raises:
            StoreUnavailable: If the store does not answer in time.
        """
        with self._reads("edges"):
            return find_edges(self._candles, all_series, newest=newest, until_ms=until_ms)

    def ping(self) -> None:
        """Return if the store answers.

        Raises:
            StoreUnavailable: If it does not in time.
        """
        with self._reads("ping"):
            self._client.admin.command("ping")

    def read_watermark(self, key: str) -> Watermark | None:
        """The watermark stored under ``key``, None if there is none."""
        with self._reads("read_watermark"):
            return _watermark_of(self._watermarks.find_one({"_id": key}))

    def advance_watermark(self, key: str, offset: int, *, at_least: Watermark | None = None) -> Watermark | None:
        """Raise the offset under ``key`` to ``offset`` unless it is higher already, and count that.

        Args:
            key: Whose watermark.
            offset: The new one.
            at_least: Leave a watermark alone that is below this or missing: the store was restored from an older copy,
                and what lies between has to be written again first. None: raise it from wherever it is.

        Returns:
            The watermark before, None if there was none.
        """
        matching: Document = {"_id": key}
        if at_least is not None:
            matching["offset"] = {"$gte": at_least.offset}
            if at_least.advances:
                matching["advances"] = {"$gte": at_least.advances}
        with self._reads("advance_watermark"):
            before = self._watermarks.find_one_and_update(
                matching,
                {"$max": {"offset": Int64(offset)}, "$inc": {"advances": Int64(1)}},
                upsert=at_least is None,
                return_document=ReturnDocument.BEFORE,
            )
            if before is None and at_least is not None:
                return self.read_watermark(key)
        return _watermark_of(before)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    @contextmanager
    def _reads(self, operation: str, seconds: float | None = None) -> Iterator[None]:
        try:
            with pymongo.timeout(seconds or self._timeout_seconds):
                yield
        except PyMongoError as error:
            raise StoreUnavailable(operation, str(error)) from error


def _watermark_of(document: Document | None) -> Watermark | None:
    return None if document is None else Watermark(int(document["offset"]), int(document.get("advances", 0)))


def safe_database(client: MongoClient[Document], name: str) -> Database[Document]:
    """A database where a write counts when a failover cannot undo it, and reads do not see what a failover can undo."""
    return client.get_database(
        name, write_concern=WriteConcern(w="majority", j=True), read_concern=ReadConcern("majority")
    )


def deadline(seconds: float) -> AbstractContextManager[None]:
    """Let all operations inside the block, in this thread, take so many seconds together, if that is less."""
    return pymongo.timeout(seconds)


def make_store(settings: Settings) -> CandleStore:
    """A store at the address in ``settings``; connects on first use."""
    client = MongoClient[Document](
        settings.mongo_uri,
        timeoutMS=int(TIMEOUT_SECONDS * 1000),
        # A server that is gone is noticed within this, also between operations.
        connectTimeoutMS=2000,
        appname="crypto-streams",
        connect=False,
    )
    return CandleStore(client, settings.mongo_db, settings.mongo_coll)


_lock = threading.Lock()
_store: CandleStore | None = None


def get_store() -> CandleStore:
    """This process's store, made on first use from the environment.

    Never made at import: `MongoClient` starts threads, and a process that forks afterwards hands its children locks
    that nobody will ever release.
    """
    global _store
    with _lock:
        if _store is None:
            _store = make_store(Settings.from_env())
        return _store
