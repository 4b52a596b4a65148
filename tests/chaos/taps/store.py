"""The store, read past our own code: ids are computed here anew, and documents are read as they lie there."""

from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Any, Final

from bson import ObjectId
from bson.decimal128 import Decimal128
from pymongo import MongoClient

from tests.chaos.evidence import CandleKey, LargerKey, StoredCandle
from tests.chaos.versions import VALUE_NAMES

DATABASE: Final = "crypto-streams"
COLLECTION: Final = "candles"
_ANSWER_MS: Final = 3000
_MOST_IDS: Final = 500


class StoreReader:
    """Reads candles and watermarks; every method raises `pymongo.errors.PyMongoError` if the store does not answer."""

    def __init__(self, uri: str) -> None:
        self._client = MongoClient[dict[str, Any]](
            uri, timeoutMS=_ANSWER_MS, serverSelectionTimeoutMS=_ANSWER_MS, connectTimeoutMS=_ANSWER_MS, connect=False
        )
        self._database = self._client[DATABASE]

    def minutes(self) -> dict[CandleKey, StoredCandle]:
        """Every stored one-minute candle."""
        return {
            (exchange, pair, open_time): candle
            for (exchange, pair, _, open_time), candle in self._find({"interval": "1m"})
        }

    def larger(self) -> dict[LargerKey, StoredCandle]:
        """Every stored candle of another interval."""
        return dict(self._find({"interval": {"$ne": "1m"}}))

    def count(self) -> int:
        """How many documents there are."""
        return self._database[COLLECTION].count_documents({})

    def _find(self, matching: Mapping[str, Any]) -> Iterator[tuple[LargerKey, StoredCandle]]:
        for document in self._database[COLLECTION].find(matching, batch_size=5000):
            key = (document["exchange"], document["pair"], document["interval"], int(document["timestamp"]))
            values = tuple(_decimal(document[name]) for name in VALUE_NAMES)
            minutes = int(document.get("minutes", 1))
            yield key, StoredCandle(int(document["rev"]), document["state"], values, minutes)

    def revs(self, keys: Iterable[CandleKey]) -> dict[CandleKey, int]:
        """The stored ``rev`` of each of these candles that is stored."""
        by_id = {document_id(key): key for key in keys}
        ids = sorted(by_id)
        found: dict[CandleKey, int] = {}
        for start in range(0, len(ids), _MOST_IDS):
            some = {"_id": {"$in": ids[start : start + _MOST_IDS]}}
            for document in self._database[COLLECTION].find(some, {"rev": 1}, batch_size=_MOST_IDS + 1):
                found[by_id[document["_id"]]] = int(document["rev"])
        return found

    def watermarks(self) -> Mapping[str, int]:
        """Every watermark of a bridge."""
        return {each["_id"]: int(each["offset"]) for each in self._database["watermarks"].find()}

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def document_id(key: CandleKey) -> ObjectId:
    """The ``_id`` of a one-minute candle, as the documentation of the store says it is made."""
    exchange, pair, open_time = key
    head = blake2b(f"{exchange}|{pair}|1m".encode(), digest_size=8).digest()
    return ObjectId(head + (open_time // 1000).to_bytes(4, "big"))


def _decimal(value: Decimal128) -> Any:
    return value.to_decimal()
