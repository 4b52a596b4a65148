"""What the harness sees of a run by itself: `start_taps` before the first fault, `Taps.stop` after everything rests.

Taps go past every proxy, and use as little of our own code as they can: they are what ours is compared with.
"""

import time
from typing import Final

from ingest.topics import CANDLES, DEAD_LETTERS, FEEDS
from tests.chaos.cluster import PAIRS, Cluster
from tests.chaos.evidence import Evidence
from tests.chaos.taps.clients import Clients
from tests.chaos.taps.commits import CommitSampler
from tests.chaos.taps.kafka import TOPICS, KafkaTap
from tests.chaos.taps.larger import LargerSampler
from tests.chaos.taps.live import LiveTap, larger_candles
from tests.chaos.taps.pages import Pager
from tests.chaos.taps.processes import MemorySampler, MetricsScraper
from tests.chaos.taps.store import StoreReader
from tests.chaos.taps.tap import Tap
from tests.chaos.versions import parse_exact

#: Reading what is left at the end of a run (seconds).
_REST_SECONDS: Final = 20.0
#: Clients that got nothing for so long have got everything, as the server compares once a second (seconds).
_QUIET_SECONDS: Final = 2.5
#: Until larger candles of all pairs are followed (seconds).
_FOLLOW_SECONDS: Final = 10.0
#: The slow client may have some hundred frames before it (seconds).
_MOST_QUIET_SECONDS: Final = 25.0


class Taps:
    """All taps of one run."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._began_at = time.time()
        self.kafka = KafkaTap(cluster.kafka_brokers)
        self.commits = CommitSampler(cluster.kafka_brokers, cluster.mongo_uri, self.kafka, lambda: cluster.restored)
        self.clients = Clients(cluster.ws_url, PAIRS)
        self._live = LiveTap(cluster.redis_url)
        self._larger = LargerSampler(cluster.mongo_uri, lambda: cluster.restored)
        self._pager = Pager(cluster.rest_url, PAIRS)
        self._memory = MemorySampler(cluster.pids)
        self._metrics = MetricsScraper(lambda: cluster.health_ports)
        self._taps: list[Tap] = [
            self.kafka,
            self.commits,
            self.clients,
            self._live,
            self._larger,
            self._pager,
            self._memory,
            self._metrics,
        ]

    def start(self) -> None:
        """Begin to look."""
        for tap in self._taps:
            tap.start()

    def stop(self) -> Evidence:
        """Look no more and return what was seen; the system must be at rest, and its services must answer.

        Raises:
            RuntimeError: If a tap went wrong, or the end of a topic could not be read.
            KafkaException: If Kafka does not answer.
            PyMongoError: If the store does not answer.
            RedisError: If Redis does not answer.
        """
        self.clients.follow_all_larger()
        self.clients.wait_following(_FOLLOW_SECONDS)
        self.clients.wait_quiet(_QUIET_SECONDS, _MOST_QUIET_SECONDS)
        ended_at = time.time()
        if not self.kafka.wait_read_all(TOPICS, _REST_SECONDS):
            raise RuntimeError(f"the end of every topic could not be read within {_REST_SECONDS:g} s")
        for tap in reversed(self._taps):
            tap.stop()
        store = StoreReader(self._cluster.mongo_uri)
        try:
            stored, larger, documents = store.minutes(), store.larger(), store.count()
        finally:
            store.close()
        return Evidence(
            acknowledged=self.kafka.records(CANDLES),
            events=[parse_exact(record.value) for record in self.kafka.records(FEEDS)],
            dead_letters=self.kafka.records(DEAD_LETTERS),
            stored=stored,
            larger=larger,
            documents=documents,
            commits=self.commits.samples,
            sim_log=self._cluster.sim_log,
            clients=self.clients.logs,
            published=self._live.messages,
            larger_samples=self._larger.samples,
            live_larger=larger_candles(self._cluster.redis_url),
            larger_client=self.clients.larger,
            memory=self._memory.samples,
            pages=self._pager.pages,
            metrics=self._metrics.totals(),
            injected=dict(self._cluster.injected),
            restored=self._cluster.restored > 0,
            recreated=self._cluster.recreated,
            redis_forgot_at=self._cluster.redis_forgot_at,
            redis_is_older=self._cluster.redis_is_older,
            began_at=self._began_at,
            ended_at=ended_at,
        )


def start_taps(cluster: Cluster) -> Taps:
    """Look at a running system until `Taps.stop`."""
    taps = Taps(cluster)
    taps.start()
    return taps


__all__ = ["Taps", "start_taps"]
