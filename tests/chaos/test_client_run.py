"""The client while each of our programs is killed once: a short version of `tests.chaos.client_run`."""

import asyncio
from collections.abc import Iterator

import pytest

from deploy.native.stack import ROOT
from tests.chaos.client_run import SIM_START, run
from tests.chaos.cluster import Clusters
from tests.chaos.keeper import wait_for
from tests.chaos.runner import FLOW_SECONDS, flows

PORT_OFFSET = 5_350
SECONDS = 40.0


@pytest.fixture
def clusters() -> Iterator[Clusters]:
    """Data that the run begins with."""
    clusters = Clusters(ROOT / ".run" / "client-run-test", PORT_OFFSET, SIM_START=SIM_START)
    with clusters.prepared():
        yield clusters


@pytest.mark.timeout(400)
def test_a_client_tells_exactly_the_stored_finals_whatever_is_killed(clusters: Clusters) -> None:
    with clusters.start() as cluster:
        wait_for("candles flow", lambda: flows(cluster), FLOW_SECONDS)
        outcome = asyncio.run(run(cluster, SECONDS))

    assert outcome.violations == []
    assert outcome.told.total() >= 100
    assert {"simulate", "ingest", "ws", "rest", "bridge-rollup-live"} <= set(outcome.killed)
