"""The harness is itself tested: with one safeguard taken out, the checker that is responsible has to notice.

Each plan is run with its sabotaged programs, and all of them with the real ones. It is made so that sabotage cannot
pass by luck: what has to be overtaken, lost or missed is, whatever the timing.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from signal import SIGCONT, SIGKILL, SIGSTOP

import pytest
import redis
from confluent_kafka import Producer

from deploy.native.stack import ROOT
from ingest.kafka import client_config
from ingest.topics import CANDLES
from tests.chaos.checkers import CHECKERS
from tests.chaos.cluster import Cluster, Clusters
from tests.chaos.faults import FAULTS
from tests.chaos.keeper import wait_for
from tests.chaos.sabotage import COMMANDS
from tests.chaos.taps import Taps, start_taps
from tests.chaos.taps.live import larger_candles
from tests.chaos.versions import VALUE_NAMES, Version, parse_version
from workers.broker import NAMESPACE
from workers.live import QUIET_AFTER_MS

PORT_OFFSET = 4500
#: All whose jobs write minutes.
STORING_WORKERS = ("workers-persist-1", "workers-persist-2", "workers-rollup-1")
FANOUT_BRIDGES = ("bridge-fanout",)
FLOW_SECONDS = 40.0
#: Some minutes of every pair.
FLOWING_RECORDS = 300
#: Several of every pair.
RECORDS_UNDER_WAY = 50
#: A look takes about a second, and so does a commit.
LOOKS_AT_COMMITS = 4
REST_SECONDS = 40.0
#: Longer than a bridge takes to commit, shorter than it puts anything off.
PUT_OFF_SECONDS = 6.0
#: A program without its safeguard may never come to rest.
SABOTAGED_REST_SECONDS = 8.0


@pytest.fixture(scope="module")
def clusters() -> Iterator[Clusters]:
    """Starts one system after the other."""
    clusters = Clusters(ROOT / ".run" / "sabotage", PORT_OFFSET)
    with clusters.prepared():
        yield clusters


# -- plans ------------------------------------------------------------------------------------------------------------


def send_old_versions_again(cluster: Cluster, taps: Taps) -> None:
    """Kafka gets the first version of every candle once more, as after a producer's repeated attempt."""
    silence(cluster)
    # Else a bridge could leave the old version out for a newer one in the same batch.
    rest(cluster, REST_SECONDS)
    send_again(cluster, oldest_versions(taps).values())


def freeze_the_workers(cluster: Cluster, taps: Taps) -> None:
    """Jobs are in the queue for longer than it takes to commit and to look at it, and nobody works on them."""
    freeze(cluster, STORING_WORKERS)
    with redis.Redis.from_url(cluster.redis_url) as client:
        wait_for("jobs wait", lambda: int(client.llen(f"{NAMESPACE}:persist")) >= 4, 10.0)
    before = len(taps.commits.judged)
    wait_for("commits are looked at", lambda: len(taps.commits.judged) >= before + LOOKS_AT_COMMITS, 30.0)
    thaw(cluster, STORING_WORKERS)
    silence(cluster)


def lose_jobs(cluster: Cluster, taps: Taps) -> None:
    """Redis is emptied while jobs wait in it, the newest candles among them, which nothing newer will replace."""
    freeze(cluster, STORING_WORKERS)
    with redis.Redis.from_url(cluster.redis_url) as client:

        def waiting() -> int:
            return int(client.llen(f"{NAMESPACE}:persist"))

        wait_for("jobs wait", lambda: waiting() >= 4, 10.0)
        silence(cluster)
        wait_still(waiting)
    FAULTS["flush:redis"].begin(cluster)
    thaw(cluster, STORING_WORKERS)


def send_old_versions_again_and_restart_the_server(cluster: Cluster, taps: Taps) -> None:
    """Clients are shown by a new server what the live side holds after a repeated attempt."""
    silence(cluster)
    rest(cluster, REST_SECONDS)
    while not (outdated := outdated_of_the_newest(taps)):
        # A minute had just begun for all pairs, and only the newest candle is shown.
        cluster.keeper.release("simulate")
        flow(taps)
        silence(cluster)
        rest(cluster, REST_SECONDS)
    send_again(cluster, outdated)
    rest(cluster, REST_SECONDS)
    killed_at = time.time()
    cluster.keeper.signal("ws", SIGKILL)
    wait_for(
        "every client is told again",
        lambda: all(log.frames[-1][0] > log.connected[-1][0] > killed_at for log in taps.clients.logs),
        20.0,
    )


def fall_silent_with_candles_under_way(cluster: Cluster, taps: Taps) -> None:
    """The last candles reach the live side when they are too old to be announced."""
    freeze(cluster, FANOUT_BRIDGES)
    wait_records(taps, RECORDS_UNDER_WAY)
    silence(cluster)
    time.sleep(QUIET_AFTER_MS / 1000 + 0.5)  # how old the newest of them is to be
    thaw(cluster, FANOUT_BRIDGES)


def let_minutes_close(cluster: Cluster, taps: Taps) -> None:
    """One minute after the other becomes part of the same larger candles."""
    flow(taps)
    silence(cluster)


def kill_the_bridge_before_it_publishes(cluster: Cluster, taps: Taps) -> None:
    """Nobody watches larger candles, so what changed last is put off; then nothing comes any more."""
    cluster.keeper.hold_down("ws")
    wait_records(taps, FLOWING_RECORDS)
    while True:
        silence(cluster)
        with suppress(TimeoutError):  # with its safeguard it does not commit what it has put off
            rest(cluster, PUT_OFF_SECONDS)
        if lacks_changes(cluster, taps):
            break
        # A minute had just been closed for all pairs, and that is published at once.
        cluster.keeper.release("simulate")
        wait_records(taps, RECORDS_UNDER_WAY)
    cluster.restart("bridge-rollup-live", SIGKILL)
    cluster.keeper.release("ws")


@dataclass(frozen=True)
class Case:
    """A safeguard to take out, what then happens, and who has to notice."""

    sabotage: str
    plan: Callable[[Cluster, Taps], None]
    checker: str


CASES = (
    Case("unguarded_store", send_old_versions_again, "I1"),
    Case("commit_at_enqueue", freeze_the_workers, "I2"),
    Case("no_lease", lose_jobs, "I1"),
    Case("unguarded_live", send_old_versions_again_and_restart_the_server, "I4"),
    Case("relay_without_check", fall_silent_with_candles_under_way, "I4"),
    Case("unguarded_larger", let_minutes_close, "I10"),
    Case("forgetful_live", kill_the_bridge_before_it_publishes, "I11"),
)


# -- tests ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.sabotage)
def test_a_missing_safeguard_is_noticed(clusters: Clusters, case: Case) -> None:
    with clusters.start(COMMANDS[case.sabotage]) as cluster:
        taps = start_taps(cluster)
        flow(taps)
        case.plan(cluster, taps)
        with suppress(TimeoutError):  # it may never come to rest
            rest(cluster, SABOTAGED_REST_SECONDS)
        evidence = taps.stop()

    assert CHECKERS[case.checker](evidence)


def test_with_their_safeguards_the_same_plans_violate_nothing(clusters: Clusters) -> None:
    with clusters.start() as cluster:
        taps = start_taps(cluster)
        for case in CASES:
            cluster.keeper.release("simulate")
            flow(taps)
            case.plan(cluster, taps)
            rest(cluster, REST_SECONDS)
        evidence = taps.stop()

    assert {name: found for name, checker in CHECKERS.items() if (found := checker(evidence))} == {}


def test_every_sabotage_has_its_case() -> None:
    assert [case.sabotage for case in CASES] == list(COMMANDS)


# -- steps ------------------------------------------------------------------------------------------------------------


def flow(taps: Taps) -> None:
    """Wait until every client was told something, and some more minutes of every pair are in Kafka."""
    taps.clients.follow_all_larger()  # what nobody watches would be the reason why it is not yet at rest
    wait_for("every client is told", lambda: all(log.frames for log in taps.clients.logs), FLOW_SECONDS)
    wait_records(taps, FLOWING_RECORDS)


def wait_records(taps: Taps, count: int) -> None:
    """Wait until so many more candles are in Kafka."""
    before = len(taps.kafka.records(CANDLES))
    wait_for("candles flow", lambda: len(taps.kafka.records(CANDLES)) >= before + count, FLOW_SECONDS)


def rest(cluster: Cluster, seconds: float) -> None:
    """Wait until everything accepted was committed by every bridge.

    Raises:
        TimeoutError: If that takes longer.
    """
    cluster.progress.wait_caught_up("everything accepted took effect", seconds=seconds, quiet=2)


def wait_still(count: Callable[[], int], seconds: float = 1.0) -> None:
    """Wait until a number has not changed for so long."""
    seen, since = count(), time.monotonic()
    while time.monotonic() - since < seconds:
        time.sleep(0.05)
        if (now := count()) != seen:
            seen, since = now, time.monotonic()


def silence(cluster: Cluster) -> None:
    """Let the exchange send nothing any more."""
    cluster.keeper.hold_down("simulate")


def freeze(cluster: Cluster, programs: tuple[str, ...]) -> None:
    """SIGSTOP."""
    for program in programs:
        cluster.keeper.signal(program, SIGSTOP)


def thaw(cluster: Cluster, programs: tuple[str, ...]) -> None:
    """SIGCONT."""
    for program in programs:
        cluster.keeper.signal(program, SIGCONT)


def oldest_versions(taps: Taps) -> dict[tuple[str, str, int], Version]:
    """The first version of each candle that has more than one."""
    oldest: dict[tuple[str, str, int], Version] = {}
    newest: dict[tuple[str, str, int], Version] = {}
    for record in taps.kafka.records(CANDLES):
        version = parse_version(record)
        assert version is not None
        oldest.setdefault(version.key, version)
        newest[version.key] = version
    return {key: version for key, version in oldest.items() if newest[key].values != version.values}


def outdated_of_the_newest(taps: Taps) -> list[Version]:
    """The first version of each pair's newest candle, of those that have more than one."""
    keys = (version.key for record in taps.kafka.records(CANDLES) if (version := parse_version(record)) is not None)
    newest = {key[:2]: key for key in sorted(set(keys))}
    oldest = oldest_versions(taps)
    return [oldest[key] for key in newest.values() if key in oldest]


def lacks_changes(cluster: Cluster, taps: Taps) -> bool:
    """Whether some day on the live side does not end as the newest minute in Kafka does."""
    found = (version for record in taps.kafka.records(CANDLES) if (version := parse_version(record)) is not None)
    minutes = {each.key[:2]: each.values for each in sorted(found, key=lambda each: (each.key, each.rev))}
    live = larger_candles(cluster.redis_url)
    days = {key[:2]: live[key].values for key in sorted(live) if key[2] == "1d"}
    close = VALUE_NAMES.index("close")
    return any(days[pair][close] != minutes[pair][close] for pair in days)


def send_again(cluster: Cluster, versions: Iterable[Version]) -> None:
    """Write the same records once more."""
    producer = Producer(client_config(cluster.kafka_brokers))
    for version in versions:
        producer.produce(CANDLES, version.record.value, version.record.key)
    assert producer.flush(10.0) == 0
