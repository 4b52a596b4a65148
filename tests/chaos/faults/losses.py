"""Services that forget, and disks that are full."""

import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from signal import SIGINT
from typing import Any

import redis
from confluent_kafka.admin import AdminClient

from ingest.kafka import make_admin
from ingest.topics import ensure_topics
from tests.chaos.cluster import PAIRS, Cluster
from tests.chaos.data import copy_tree, empty
from tests.chaos.faults.base import Fault
from tests.chaos.keeper import wait_for

_ANSWER_SECONDS = 15.0
_CAUGHT_UP_SECONDS = 40.0
_BALLAST = "ballast"


class Flush(Fault):
    """``FLUSHALL``: somebody took Redis for a cache. Jobs, completions and the live side are gone."""

    kind = "flush"
    asks_redis = True

    def begin(self, cluster: Cluster) -> None:
        """Empty it."""
        with redis.Redis.from_url(cluster.redis_url, socket_timeout=2) as client:
            client.flushall()
        cluster.redis_forgot(is_older=False)


class Empty(Fault):
    """Redis dies and comes back without its data: its disk was replaced, or it never had one."""

    kind = "empty"
    alone = True

    def begin(self, cluster: Cluster) -> None:
        """Kill, delete, start."""
        cluster.keeper.hold_down(self.target)
        empty(cluster.data.disks["redis"])
        cluster.redis_forgot(is_older=False)
        cluster.keeper.release(self.target)


class Older(Fault):
    """Redis comes back with an older copy of its data: jobs long done, completions long read, old live candles."""

    kind = "older"
    seconds = (3.0, 8.0)
    alone = True

    def begin(self, cluster: Cluster) -> None:
        """Copy its append-only file, as a backup does."""
        shutil.rmtree(_older(cluster), ignore_errors=True)
        # Not quite still while it is copied; Redis cuts off what is half-written at the end of such a file.
        copy_tree(cluster.data.disks["redis"], _older(cluster))

    def end(self, cluster: Cluster) -> None:
        """Kill, replace, start."""
        cluster.keeper.hold_down(self.target)
        empty(cluster.data.disks["redis"])
        copy_tree(_older(cluster), cluster.data.disks["redis"])
        cluster.redis_forgot(is_older=True)
        cluster.keeper.release(self.target)


def _older(cluster: Cluster) -> Path:
    return cluster.stack.run_dir / "older-redis"


class RestoreStore(Fault):
    """The store is restored from an older copy, while bridges run on and Kafka has moved on."""

    kind = "restore"
    seconds = (4.0, 9.0)
    alone = True

    def begin(self, cluster: Cluster) -> None:
        """Copy the store's data; it stands still for that, as a copy of a running one would be none."""
        cluster.keeper.hold_down("postgres", SIGINT)
        shutil.rmtree(cluster.data.older_mongo, ignore_errors=True)
        copy_tree(cluster.data.mongo / "data", cluster.data.older_mongo)
        self._go_on(cluster)

    def end(self, cluster: Cluster) -> None:
        """Replace the data by the copy."""
        cluster.keeper.hold_down("postgres", SIGINT)
        empty(cluster.data.mongo / "data")
        copy_tree(cluster.data.older_mongo, cluster.data.mongo / "data")
        cluster.restored += 1
        self._go_on(cluster)

    @staticmethod
    def _go_on(cluster: Cluster) -> None:
        cluster.keeper.release("postgres")
        wait_for("postgres listens", lambda: cluster.answers("postgres"), _ANSWER_SECONDS)


class Recreate(Fault):
    """The topic is deleted and made anew: its offsets begin at 0, and old commits mean nothing any more.

    What nobody had read would be lost with it, rightly. So that the run can be compared record by record, the source
    is silent until everything is read, and sends again while there is no topic.
    """

    kind = "recreate"
    seconds = (1.0, 5.0)
    alone = True
    asks_redis = True

    def begin(self, cluster: Cluster) -> None:
        """Delete the topic when everything in it is committed."""
        cluster.keeper.hold_down("simulate")
        with redis.Redis.from_url(cluster.redis_url, socket_timeout=2) as client:
            watcher: Any = client.pubsub()
            # What nobody watches is put off, and not committed before; ingest would wait the longer for the exchange.
            watcher.subscribe(*(f"live.ch:{{sim|{pair}|5m}}" for pair in PAIRS))
            cluster.progress.wait_caught_up(
                "everything read before the topic goes", seconds=_CAUGHT_UP_SECONDS, quiet=2
            )
            watcher.close()
        admin = make_admin(cluster.kafka_brokers)
        for future in admin.delete_topics([self.target]).values():
            future.result()
        wait_for("the topic is gone", lambda: not _exists(admin, self.target), _ANSWER_SECONDS)
        cluster.recreated = True
        cluster.keeper.release("simulate")

    def end(self, cluster: Cluster) -> None:
        """Make it anew, as any restarted program of ours would."""
        ensure_topics(cluster.kafka_brokers)


def _exists(admin: AdminClient, topic: str) -> bool:
    return topic in admin.list_topics(timeout=5).topics


class FullDisk(Fault):
    """No room is left on the disk of Redis or of Kafka."""

    kind = "full"
    seconds = (2.0, 8.0)
    alone = True

    def impossible(self, cluster: Cluster) -> str | None:
        """Only a small disk of its own may be filled up."""
        return cluster.data.no_disks

    def begin(self, cluster: Cluster) -> None:
        """Fill it up to the last byte."""
        with (cluster.data.disks[self.target] / _BALLAST).open("wb", buffering=0) as file:
            for chunk in (1 << 20, 1 << 12, 1):
                _fill(file.write, bytes(chunk))

    def end(self, cluster: Cluster) -> None:
        """Make room."""
        (cluster.data.disks[self.target] / _BALLAST).unlink()


def _fill(write: Callable[[bytes], int | None], chunk: bytes) -> None:
    try:
        while write(chunk):
            pass
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
