"""Every kind of fault once, in a few bundled runs: a short selection of what `make chaos` does at length."""

from collections.abc import Iterator

import pytest

from deploy.native.stack import ROOT
from tests.chaos.cluster import Clusters
from tests.chaos.faults import FAULTS, KINDS
from tests.chaos.progress import MINUTES_GROUPS
from tests.chaos.report import line
from tests.chaos.runner import run_once
from tests.chaos.schedule import GAP_SECONDS, line_up

#: Between the ports of the other stacks that tests start.
PORT_OFFSET = 3500

BUNDLES = {
    "programs die, leave and stand still": (
        "kill:bridge-persist",
        "kill:workers-persist-1",
        "kill:redis",
        "kill:ingest",
        "kill:bridge-rollup-live",
        "term:workers-rollup-1",
        "term:ws",
        "stop:ferretdb",
        "second:bridge-rollup",
    ),
    "links fail": (
        "cut:bridge-persist/redis",
        "reset:workers-rollup/mongo",
        "blackhole:ingest/kafka",
        "delay:bridge-rollup-live/redis",
        "limit:ws/redis",
        "dropreply:workers-persist/mongo",
        "dropreply:bridge-persist/kafka",
    ),
    "services forget and disks are full": (
        "flush:redis",
        "empty:redis",
        "older:redis",
        "restore:store",
        "recreate:candles",
        "full:redis",
        "full:kafka",
    ),
    "poison everywhere, and clocks that are off": (
        "poison:candles",
        "poison:queue",
        "poison:completions",
        "poison:simulate",
        "clock+1h:ingest",
        "clock-1h:bridge-rollup",
    ),
}


@pytest.fixture(scope="module")
def clusters() -> Iterator[Clusters]:
    """Whole systems, one after the other."""
    clusters = Clusters(ROOT / ".run" / "chaos-test", PORT_OFFSET)
    with clusters.prepared():
        yield clusters


def test_the_bundles_cover_every_kind_of_fault_and_every_poison() -> None:
    bundled = {name for names in BUNDLES.values() for name in names}

    assert {FAULTS[name].kind for name in bundled} == set(KINDS)
    assert {name for name in FAULTS if name.startswith("poison:")} <= bundled


@pytest.mark.timeout(300)
@pytest.mark.parametrize("what", BUNDLES)
def test_nothing_is_lost_doubled_or_turned_back_when(what: str, clusters: Clusters) -> None:
    planned = line_up(BUNDLES[what], FAULTS)
    kept = clusters.stack.run_dir / "failed" / "-".join(what.split()[:2])

    result = run_once(
        clusters,
        what,
        planned,
        planned[-1].until + GAP_SECONDS,
        one_by_one=True,
        # Those that make larger candles take longer; what they owe by then has to be right at rest.
        wait_for_groups=MINUTES_GROUPS,
        keep=kept,
    )

    print(line(result))
    assert result.violations == {}, line(result)
