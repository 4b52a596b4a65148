"""CandleStore: the only module that speaks MongoDB.

A candle's ``_id`` is computed from its series and open time, so a repeated write lands on the same document, and the
primary key alone serves upserts, range scans and newest-first order. A write carries the guard ``rev < mine``: a
candle only moves forward, whoever writes, in whatever order, however often.

Only operations that MongoDB 6 to 8 and FerretDB both honour; of an error only its code and index are read.
"""

import logging
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from decimal import DecimalException
from hashlib import blake2b
from typing import Any, cast

import pymongo
from bson import ObjectId
from bson.errors import BSONError
from bson.int64 import Int64
from pymongo import MongoClient, ReturnDocument, UpdateOne
from pymongo.errors import BulkWriteError, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from ingest.candle import Candle, Interval, Series, State
from workers import metrics
from workers.decimal128 import from_decimal128, to_decimal128
from workers.errors import SeriesCollision, StoreUnavailable
from workers.outage import Outage
from workers.settings import Settings
from workers.stored_rows import RowDecoder, StoredRow

logger = logging.getLogger(__name__)

Document = dict[str, Any]

#: One operation of the store.
TIMEOUT_SECONDS = 5.0
#: Counting looks at every candle there is.
COUNT_SECONDS = 60.0
#: Open times in an ``_id`` are unsigned 32-bit seconds.
MAX_SECONDS = 2**32 - 1

#: The guard did not match and the document exists: not newer, or two first inserts raced.
_DUPLICATE_KEY = 11000
#: How long a series is believed to be written down. The store may be restored from an older copy at any time.
_KNOWN_SECONDS = 60.0
#: So many are remembered at most: a topic may be flooded with series, each of them for one record.
MAX_KNOWN_SERIES = 10_000

_INTERVALS = {interval.value: interval for interval in Interval}
_STATES = {state.value: state for state in State}
_FINAL_STATES = [state.value for state in State if state.rank >= State.FINAL.rank]


def series_hash(series: Series) -> bytes:
    """The 8 bytes that stand for a series: the ``_id`` of its document and the head of its candles' ids."""
    return blake2b(series.key.encode(), digest_size=8).digest()


def document_id(series_hash: bytes, timestamp_ms: int) -> ObjectId:
    """The ``_id`` of the candle that opens at ``timestamp_ms`` (Unix milliseconds, 1970 to 2106).

    Raises:
        OverflowError: If the time does not fit.
    """
    return ObjectId(series_hash + (timestamp_ms // 1000).to_bytes(4, "big"))


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
        # A write counts when a failover cannot undo it; a read of revisions must not see what a failover can undo.
        db = client.get_database(
            database, write_concern=WriteConcern(w="majority", j=True), read_concern=ReadConcern("majority")
        )
        self._candles = db[collection]
        self._series = db["series"]
        self._watermarks = db["watermarks"]
        self._outage = Outage(logger, "the store")
        self._known: dict[Series, float] = {}
        self._replaying = False

    def write(self, candles: Sequence[Candle]) -> list[tuple[int, str]] | None:
        """Move candles forward; a candle that is not newer than what is stored changes nothing.

        Returns:
            The candles that can never be stored, as (index, reason), all others being stored or not newer.
            None if any of this is not known to be so: the whole of it must be repeated.

        Raises:
            SeriesCollision: If a series' hash belongs to another series.
        """
        refused: list[tuple[int, str]] = []
        rows: list[tuple[ObjectId, int, Document]] = []
        for index, candle in enumerate(candles):
            try:
                document = _document(candle)
            except (BSONError, DecimalException, OverflowError, ValueError) as error:
                refused.append((index, f"cannot be encoded for the store: {error}"))
            else:
                rows.append((document.pop("_id"), candle.rev, document))
        # Unsorted concurrent bulks take the same locks in different orders and deadlock on FerretDB.
        rows.sort(key=lambda row: row[0])
        try:
            with pymongo.timeout(self._timeout_seconds):
                self._write_series({candle.series for candle in candles})
                self._write_rows(rows)
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
        ids = _id_range(series, since_ms, until_ms)
        order = pymongo.DESCENDING if newest_first else pymongo.ASCENDING
        if ids is None:
            return []
        with self._reads("find"):
            # With a first batch as large as the limit the answer takes one round trip rather than two.
            cursor = self._candles.find({"_id": ids}).sort("_id", order).limit(limit).batch_size(limit)
            return [_candle(series, document) for document in cursor]

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
        ids = _id_range(series, since_ms, until_ms)
        order = pymongo.DESCENDING if newest_first else pymongo.ASCENDING
        if ids is None:
            return []
        matching = {"_id": ids} | ({"state": {"$in": _FINAL_STATES}} if finals_only else {})
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
        return {document["_id"]: _candle_or_none(document) for document in documents}

    def count(self) -> int:
        """How many candles there are.

        Raises:
            StoreUnavailable: If the store does not answer within `COUNT_SECONDS`.
        """
        with self._reads("count", COUNT_SECONDS):
            return self._candles.count_documents({})

    def series(self) -> list[Series]:
        """Every series that has, or is about to have, a candle; in the order of their keys."""
        with self._reads("series"):
            documents = list(self._series.find())
        return sorted(
            Series(each["exchange"], each["pair"], _INTERVALS[each["interval"]])
            for each in documents
            if each.get("interval") in _INTERVALS
        )

    def edge(self, series: Series, *, newest: bool) -> int | None:
        """The newest, or else the earliest, open time of a series (Unix milliseconds), None without candles."""
        order = pymongo.DESCENDING if newest else pymongo.ASCENDING
        with self._reads("edge"):
            # The primary key alone answers: the open time is part of it.
            cursor = self._candles.find({"_id": _id_range(series, None, None)}, {"_id": 1})
            ids = [document["_id"] for document in cursor.sort("_id", order).limit(1)]
        return int.from_bytes(ids[0].binary[8:]) * 1000 if ids else None

    def ping(self) -> None:
        """Return if the store answers.

        Raises:
            StoreUnavailable: If it does not in time.
        """
        with self._reads("ping"):
            self._client.admin.command("ping")

    def read_watermark(self, key: str) -> int | None:
        """The offset stored under ``key``, None if there is none."""
        with self._reads("read_watermark"):
            document = self._watermarks.find_one({"_id": key})
        return None if document is None else int(document["offset"])

    def advance_watermark(self, key: str, offset: int, *, at_least: int | None = None) -> int | None:
        """Raise the offset under ``key`` to ``offset`` unless it is higher already.

        Args:
            key: Whose watermark.
            offset: The new one.
            at_least: Leave a watermark alone that is below this or missing: the store was restored from an older copy,
                and what lies between has to be written again first. None: raise it from wherever it is.

        Returns:
            The value before, None if there was none.
        """
        matching: Document = {"_id": key} if at_least is None else {"_id": key, "offset": {"$gte": at_least}}
        with self._reads("advance_watermark"):
            before = self._watermarks.find_one_and_update(
                matching,
                {"$max": {"offset": Int64(offset)}},
                upsert=at_least is None,
                return_document=ReturnDocument.BEFORE,
            )
            if before is None and at_least is not None:
                return self.read_watermark(key)
        return None if before is None else int(before["offset"])

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

    def _write_series(self, all_series: set[Series]) -> None:
        now = time.monotonic()
        unknown = {
            series_hash(series): series for series in all_series if self._known.get(series, -_KNOWN_SECONDS) < now
        }
        if not unknown:
            return
        self._series.bulk_write(
            [
                UpdateOne({"_id": head}, {"$setOnInsert": _series_document(series)}, upsert=True)
                for head, series in sorted(unknown.items())
            ],
            ordered=False,
        )
        held = {bytes(each["_id"]): each for each in self._series.find({"_id": {"$in": list(unknown)}})}
        if len(self._known) + len(unknown) > MAX_KNOWN_SERIES:
            self._known.clear()  # the others are asked for once more
        for head, series in unknown.items():
            document = held.get(head, {})
            if {name: document.get(name) for name in Series._fields} != _series_document(series):
                raise SeriesCollision(series.key, "|".join(str(document.get(name)) for name in Series._fields))
            self._known[series] = now + _KNOWN_SECONDS

    def _write_rows(self, rows: list[tuple[ObjectId, int, Document]]) -> None:
        """Write every row that is newer than what is stored.

        While a replay runs (most rows are not newer) the revisions are read first, which is several times as fast as
        letting the guard refuse them one by one. The guard stays: between the read and the write others may write.
        """
        count = len(rows)
        if self._replaying:
            rows = self._newer(rows)
        refused_by_guard = self._upsert(rows)
        # Most of these are not newer. Two first inserts of one candle may also have raced; the loser, if it is the
        # newer one, is written now that the document exists.
        again = self._newer(refused_by_guard)
        refused_again = self._upsert(again)
        unchanged = count - (len(rows) - len(refused_by_guard)) - (len(again) - len(refused_again))
        self._replaying = unchanged * 2 > count
        metrics.CANDLES_NOT_NEWER.inc(unchanged)
        metrics.CANDLES_PERSISTED.inc(count - unchanged)

    def _upsert(self, rows: list[tuple[ObjectId, int, Document]]) -> list[tuple[ObjectId, int, Document]]:
        """Write rows under the guard and return those that it refused."""
        if not rows:
            return []
        updates = [
            UpdateOne({"_id": id_, "rev": {"$lt": Int64(rev)}}, {"$set": document}, upsert=True)
            for id_, rev, document in rows
        ]
        try:
            self._candles.bulk_write(updates, ordered=False)
        except BulkWriteError as error:
            details = error.details or {}
            errors = details.get("writeErrors", [])
            if details.get("writeConcernErrors") or any(each.get("code") != _DUPLICATE_KEY for each in errors):
                raise
            return [rows[each["index"]] for each in errors]
        return []

    def _newer(self, rows: list[tuple[ObjectId, int, Document]]) -> list[tuple[ObjectId, int, Document]]:
        """Those rows whose ``rev`` is above the stored one, or that are not stored."""
        if not rows:
            return []
        ids = [id_ for id_, _, _ in rows]
        cursor = self._candles.find({"_id": {"$in": ids}}, {"rev": 1}).batch_size(len(ids) + 1)
        held = {each["_id"]: each["rev"] for each in cursor}
        return [row for row in rows if held.get(row[0], -1) < row[1]]


def deadline(seconds: float) -> AbstractContextManager[None]:
    """Let all operations inside the block, in this thread, take so many seconds together, if that is less."""
    return pymongo.timeout(seconds)


def _id_range(series: Series, since_ms: int | None, until_ms: int | None) -> Document | None:
    """What the ids of candles in this range satisfy, None if no open time lies in it."""
    first = 0 if since_ms is None else max(0, -(-since_ms // 1000))
    last = MAX_SECONDS if until_ms is None else min(MAX_SECONDS, until_ms // 1000)
    if first > last:
        return None
    head = series_hash(series)
    return {"$gte": document_id(head, first * 1000), "$lte": document_id(head, last * 1000)}


def _series_document(series: Series) -> Document:
    return {"exchange": series.exchange, "pair": series.pair, "interval": series.interval.value}


def _document(candle: Candle) -> Document:
    return {
        "_id": document_id(series_hash(candle.series), candle.timestamp),
        "exchange": candle.exchange,
        "pair": candle.pair,
        "interval": candle.interval.value,
        "timestamp": Int64(candle.timestamp),
        "open": to_decimal128(candle.open),
        "high": to_decimal128(candle.high),
        "low": to_decimal128(candle.low),
        "close": to_decimal128(candle.close),
        "volume": to_decimal128(candle.volume),
        "state": candle.state.value,
        "rev": Int64(candle.rev),
    }


def _candle(series: Series, document: Mapping[str, Any]) -> Candle:
    return Candle(
        exchange=series.exchange,
        pair=series.pair,
        interval=series.interval,
        timestamp=int(document["timestamp"]),
        open=from_decimal128(document["open"]),
        high=from_decimal128(document["high"]),
        low=from_decimal128(document["low"]),
        close=from_decimal128(document["close"]),
        volume=from_decimal128(document["volume"]),
        state=_STATES[document["state"]],
        rev=int(document["rev"]),
    )


def _candle_or_none(document: Mapping[str, Any]) -> Candle | None:
    """The candle of a document that may have been written or altered by anyone."""
    try:
        series = Series(document["exchange"], document["pair"], _INTERVALS[document["interval"]])
        candle = _candle(series, document)
        hash(candle)  # a signalling NaN or a list inside: neither can be compared
        return candle
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError):
        return None


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
