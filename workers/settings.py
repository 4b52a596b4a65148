"""The settings that bridges and workers read, beside those of ingest."""

import re
from typing import Annotated

import redis.connection
from pydantic import AfterValidator, Field
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

import ingest.settings

#: What MongoDB allows in the name of a database and of a collection on every platform.
_DATABASE = re.compile(r"\A[^\s/\\.\"$*<>:|?\0]{1,63}\Z")
_COLLECTION = re.compile(r"\A(?!system\.)[A-Za-z_][A-Za-z0-9_.-]{0,119}\Z")

#: Collections that the store keeps for itself.
_RESERVED_COLLECTIONS = ("series", "watermarks")


def _check_redis_url(url: str) -> str:
    try:
        redis.connection.parse_url(url)  # type: ignore[no-untyped-call]
    except ValueError:
        raise ValueError("redis://host:port/database, rediss://… or unix://…") from None
    return url


def _check_mongo_uri(uri: str) -> str:
    expected = "mongodb://host:port or mongodb+srv://…, special characters in user and password percent-encoded"
    # Parsing the other form would ask the name server, which may be away for now.
    if not uri.startswith("mongodb+srv://"):
        try:
            parse_uri(uri)
        except (PyMongoError, ValueError):
            raise ValueError(expected) from None
    return uri


def _check_database(name: str) -> str:
    if not _DATABASE.match(name):
        raise ValueError('the name of a database: 1 to 63 characters, no blanks, none of /\\."$*<>:|?')
    return name


def _check_collection(name: str) -> str:
    if not _COLLECTION.match(name) or name in _RESERVED_COLLECTIONS:
        raise ValueError("the name of a collection: letters, digits, _ . or -, and not series or watermarks")
    return name


RedisUrl = Annotated[str, AfterValidator(_check_redis_url)]


class Settings(ingest.settings.Settings):
    """What bridges and workers need; names in upper case are the variables."""

    #: The jobs' Redis: one instance.
    redis_url: RedisUrl = "redis://127.0.0.1:6379/0"
    #: The live side's Redis; None: the same as the jobs'.
    live_redis_url: RedisUrl | None = None

    mongo_uri: Annotated[str, AfterValidator(_check_mongo_uri)] = "mongodb://127.0.0.1:27017"
    mongo_db: Annotated[str, AfterValidator(_check_database)] = "crypto-streams"
    mongo_coll: Annotated[str, AfterValidator(_check_collection)] = "candles"

    #: How many of the newest candles of a series the live side holds.
    live_window: Annotated[int, Field(ge=1, le=500)] = 60

    #: Worker processes per queue, and threads in each.
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    worker_threads: Annotated[int, Field(ge=1, le=64)] = 4

    #: How often a running larger candle is stored (seconds); one that is over is stored at once.
    rollup_seconds: Annotated[float, Field(ge=0, le=300)] = 15.0

    @property
    def live_url(self) -> str:
        """Where the live side is."""
        return self.live_redis_url or self.redis_url
