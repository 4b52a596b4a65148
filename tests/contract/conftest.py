"""For whoever asks for it: an empty store on a real server, and a client that sees past it."""

from collections.abc import Iterator

import pytest
from pymongo import MongoClient

from workers.documents import Document
from workers.store import CandleStore


@pytest.fixture
def client(mongo_uri: str) -> Iterator[MongoClient[Document]]:
    """A client that is closed afterwards."""
    with MongoClient[Document](mongo_uri) as client:
        yield client


@pytest.fixture
def store(client: MongoClient[Document], database: str) -> CandleStore:
    """An empty store."""
    return CandleStore(client, database, "candles")
