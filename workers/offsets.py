"""How far the bridges are: what Kafka has, what they committed, and how old the first thing is that they did not."""

import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from workers.policies import Policy
from workers.topic_reader import TopicReader

HEALTH_SECONDS: Final = 1.0
_MAX_METRICS_BYTES: Final = 4 * 1024 * 1024
_IN_FLIGHT: Final = "bridge_inflight_records"

#: Topic and partition to records in flight.
InFlight = dict[tuple[str, int], int]


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a bridge is in one partition."""

    bridge: str
    topic: str
    partition: int
    #: The offset after the last record.
    end: int
    #: The offset below which everything took effect; None before the first commit.
    committed: int | None
    #: How many records Kafka has from there on.
    behind: int
    #: Records read and not done; None if the bridge did not say.
    in_flight: int | None
    #: How long ago the first of those behind was produced (seconds); None if there is none.
    oldest_seconds: float | None


class Offsets:
    """Asks for the lag of bridges, again and again if need be."""

    def __init__(
        self, reader: TopicReader, policies: Sequence[Policy], health: Mapping[str, str] | None = None
    ) -> None:
        """``health``: bridge to ``host:port`` of its metrics."""
        self._reader, self._policies, self._health = reader, policies, health or {}
        self._times: dict[tuple[str, int, int], int] = {}

    def read(self) -> list[Lag]:
        """The lag of every partition, by bridge, topic and partition.

        Raises:
            KafkaUnavailable: If Kafka does not answer.
            TopicMissing: If a topic is not there.
        """
        lags: list[Lag] = []
        for policy in self._policies:
            address = self._health.get(policy.name)
            in_flight = {} if address is None else read_in_flight(address, policy.name)
            for topic in sorted(policy.sources):
                lags += self._of_topic(policy, topic, in_flight)
        # Only what may be asked for again.
        wanted = {(each.topic, each.partition, each.end - each.behind) for each in lags}
        self._times = {place: at for place, at in self._times.items() if place in wanted}
        return lags

    def _of_topic(self, policy: Policy, topic: str, in_flight: InFlight) -> list[Lag]:
        partitions = self._reader.partitions(topic)
        committed = self._reader.committed(policy.group, topic, partitions)
        bounds = self._reader.bounds(topic)
        # Without a commit, or when retention was faster, everything that is there counts.
        starts = {each: max(committed[each] or 0, bounds[each][0]) for each in partitions}
        times = self._first_times(topic, {each: starts[each] for each in partitions if starts[each] < bounds[each][1]})
        now_ms = time.time_ns() // 1_000_000
        return [
            Lag(
                policy.name,
                topic,
                each,
                bounds[each][1],
                committed[each],
                max(0, bounds[each][1] - starts[each]),
                in_flight.get((topic, each)),
                max(0.0, (now_ms - times[each]) / 1000) if each in times else None,
            )
            for each in partitions
        ]

    def _first_times(self, topic: str, starts: Mapping[int, int]) -> dict[int, int]:
        """When the records at these offsets were produced (Unix milliseconds)."""
        unknown = {each: (at, at + 1) for each, at in starts.items() if (topic, each, at) not in self._times}
        for messages in self._reader.read(topic, unknown):
            for message in messages:
                place = (topic, message.partition() or 0, message.offset() or 0)
                self._times[place] = message.timestamp()[1]
        return {each: self._times[topic, each, at] for each, at in starts.items() if (topic, each, at) in self._times}


def read_in_flight(address: str, bridge: str) -> InFlight:
    """Records in flight by the metrics of a bridge at ``host:port``; empty if it does not answer, or is another."""
    try:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=HEALTH_SECONDS) as answer:
            text = answer.read(_MAX_METRICS_BYTES).decode()
        return {
            (sample.labels["topic"], int(sample.labels["partition"])): int(sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == _IN_FLIGHT and sample.labels.get("bridge") == bridge
        }
    except (OSError, HTTPException, ValueError, KeyError):  # another program may listen there
        return {}
