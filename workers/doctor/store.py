"""Does the store answer, may we do there what we have to, and is its clock right?"""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC
from typing import Any, Final

from pymongo import MongoClient
from pymongo.errors import DuplicateKeyError, OperationFailure, PyMongoError

from workers.doctor.findings import Finding, broken, clock, ok, warning
from workers.documents import Document
from workers.settings import Settings
from workers.store import safe_database

#: Each operation.
OPERATION_SECONDS: Final = 3.0
#: The oldest that the operations used here are tested with.
MIN_VERSION: Final = (6, 0)
_SUBJECT: Final = "mongodb"
#: No id of ours is text, so nobody takes it for a candle. Always the same: what a doctor that was killed left behind is
#: removed by the next.
_DOCUMENT: Final = {"_id": "doctor"}
_UNAUTHORIZED: Final = frozenset({13, 18})


def find_in_store(settings: Settings) -> Iterator[Finding]:
    """Look at the store: version, role, permissions, clock."""
    client = MongoClient[Document](
        settings.mongo_uri,
        timeoutMS=int(OPERATION_SECONDS * 1000),
        serverSelectionTimeoutMS=int(OPERATION_SECONDS * 1000),
        connectTimeoutMS=2000,
        appname="crypto-streams doctor",
    )
    with client:
        try:
            built: dict[str, Any] = client.admin.command("buildInfo")
            # Second, so that connecting takes none of the time between.
            before = time.time()
            hello: dict[str, Any] = client.admin.command("hello")
            after = time.time()
        except PyMongoError as error:
            yield broken(
                _SUBJECT, f"does not answer: {_first(error)}", advice_for(error, "start it, or correct MONGO_URI")
            )
            return
        yield judge_server(hello, built)
        yield _find_permissions(client, settings)
        local = hello.get("localTime")
        if local is not None:
            yield clock(f"{_SUBJECT} clock", local.replace(tzinfo=UTC).timestamp() - (before + after) / 2)


def judge_server(hello: Mapping[str, Any], built: Mapping[str, Any]) -> Finding:
    """What its version and its role say; the answers of the commands ``hello`` and ``buildInfo``. Pure."""
    version = str(built["version"])
    product = f"FerretDB {built['ferretdb'].get('version', '')}, as MongoDB" if "ferretdb" in built else "version"
    if not hello.get("isWritablePrimary", False):
        found = f"{product} {version}, not a primary: it takes no writes"
        return broken(_SUBJECT, found, "name all members of the replica set in MONGO_URI, or wait for its election")
    if tuple(int(part) for part in version.split(".")[:2]) < MIN_VERSION:
        expected = ".".join(map(str, MIN_VERSION))
        return warning(_SUBJECT, f"{product} {version}, tested with {expected} and newer", "install a newer one")
    return ok(_SUBJECT, f"{product} {version}")


def _find_permissions(client: MongoClient[Document], settings: Settings) -> Finding:
    """Write, read and remove a document in each collection of ours, as durably as candles are written."""
    subject = f"{_SUBJECT} permissions"
    db = safe_database(client, settings.mongo_db)
    names = (settings.mongo_coll, "series", "watermarks")
    at = settings.mongo_db
    try:
        there = set(db.list_collection_names(authorizedCollections=True, nameOnly=True))
        for at in names:
            # Without an upsert where it would make the collection: a look must not.
            with suppress(DuplicateKeyError):  # another doctor
                db[at].update_one(_DOCUMENT, {"$set": {"at": time.time()}}, upsert=at in there)
            db[at].find_one(_DOCUMENT)
            db[at].delete_one(_DOCUMENT)
    except PyMongoError as error:
        advice = f"give this user the role readWrite on the database {settings.mongo_db}"
        return broken(subject, f"{at}: {_first(error)}", advice_for(error, "see the server's log and its disk", advice))
    missing = [name for name in names if name not in there]
    if missing:
        return ok(subject, f"may read and write; {', '.join(missing)} will be made by the first write")
    return ok(subject, f"wrote, read and removed a document in {', '.join(names)}")


def advice_for(error: PyMongoError, otherwise: str, permission: str = "correct user and password in MONGO_URI") -> str:
    """What to do: ``permission`` if the user is refused, else ``otherwise``."""
    return permission if isinstance(error, OperationFailure) and error.code in _UNAUTHORIZED else otherwise


def _first(error: PyMongoError) -> str:
    """What PyMongo says, without its configuration and its picture of the servers."""
    return re.split(r" \(configured timeouts|, Timeout: |, full error", str(error), maxsplit=1)[0][:200]
