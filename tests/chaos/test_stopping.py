"""SIGTERM to everything of ours while a service says nothing: no program may wait for an answer that does not come."""

import time
from collections.abc import Iterator
from signal import SIGTERM

import pytest

from deploy.native.programs import Turn, turn_of
from tests.chaos.cluster import Clusters
from tests.chaos.faults.processes import STOP_BOUND_SECONDS
from tests.chaos.keeper import wait_for
from tests.chaos.proxy import Mode
from tests.chaos.runner import FLOW_SECONDS, flows
from tests.chaos.wiring import LINKS
from tests.system.stack import ROOT

PORT_OFFSET = 5_200
#: Long enough that whoever asks the service is in the middle of it.
_SILENT_SECONDS = 3.0


@pytest.fixture(scope="module")
def clusters() -> Iterator[Clusters]:
    """Data that every run begins with."""
    clusters = Clusters(ROOT / ".run" / "stopping", PORT_OFFSET)
    with clusters.prepared():
        yield clusters


@pytest.mark.parametrize(("service", "signals"), [("kafka", 1), ("redis", 2), ("mongo", 2)])
def test_every_process_leaves_in_time_while_a_service_is_silent(clusters: Clusters, service: str, signals: int) -> None:
    with clusters.start() as cluster:
        wait_for("candles flow", lambda: flows(cluster), FLOW_SECONDS)
        pids = {name: pid for name, pid in cluster.pids().items() if turn_of(name) is Turn.OURS and name != "simulate"}
        for link in LINKS:
            if link.endswith(f"/{service}"):
                cluster.proxies.set(link, Mode.BLACK_HOLE)
        time.sleep(_SILENT_SECONDS)

        began_at = time.time()
        for number in range(signals):
            for name in pids:
                cluster.keeper.signal(name, SIGTERM)
            if number + 1 < signals:
                time.sleep(1.0)
        for name, pid in pids.items():
            cluster.keeper.wait_gone(name, pid, seconds=60)
        took = {life.program: life.ended_at - began_at for life in cluster.keeper.lives if life.pid in pids.values()}

    assert took.keys() == pids.keys()
    assert {name: seconds for name, seconds in took.items() if seconds > STOP_BOUND_SECONDS} == {}
