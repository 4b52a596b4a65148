"""How far series reach: the newest or the earliest open time of many of them, a few with one question."""

from collections.abc import Sequence
from typing import Final

import pymongo
from bson import ObjectId

from ingest.candle import Series
from workers.documents import Document, DocumentCollection, id_range, opens_at, series_hash

#: Look-ups in one question: a quarter of the time of as many questions. FerretDB nests them, and takes longer for each
#: of more than a dozen, for a hundred already 0.7 s.
_AT_ONCE: Final = 10


def find_edges(
    candles: DocumentCollection, all_series: Sequence[Series], *, newest: bool, until_ms: int | None = None
) -> dict[Series, int]:
    """The newest, or else the earliest, open time of each series (Unix milliseconds) that has candles.

    ``until_ms`` leaves out what opens later.

    Raises:
        PyMongoError: If the store does not answer.
    """
    order = pymongo.DESCENDING if newest else pymongo.ASCENDING
    of_hash = {series_hash(series): series for series in all_series}
    ids: list[ObjectId] = []
    for start in range(0, len(all_series), _AT_ONCE):
        first, *others = (_edge(series, until_ms, order) for series in all_series[start : start + _AT_ONCE])
        unions = [{"$unionWith": {"coll": candles.name, "pipeline": each}} for each in others]
        ids += [document["_id"] for document in candles.aggregate([*first, *unions])]
    return {of_hash[id_.binary[:8]]: opens_at(id_) for id_ in ids}


def _edge(series: Series, until_ms: int | None, order: int) -> list[Document]:
    # The primary key alone answers: the open time is part of it.
    ids = {"_id": id_range(series, None, until_ms)}
    return [{"$match": ids}, {"$sort": {"_id": order}}, {"$limit": 1}, {"$project": {"_id": 1}}]
