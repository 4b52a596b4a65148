"""One run: a fresh system, faults as planned, rest, and what the checkers make of it."""

import logging
import pickle
import shutil
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from heapq import heappop, heappush
from itertools import count
from pathlib import Path

from deploy.native.programs import Turn, turn_of
from tests.chaos.checkers import CHECKERS
from tests.chaos.cluster import Cluster, Clusters
from tests.chaos.evidence import Evidence
from tests.chaos.faults import FAULTS
from tests.chaos.keeper import wait_for
from tests.chaos.progress import GROUPS, MINUTES_GROUPS, came_after, recovered_after
from tests.chaos.schedule import Planned
from tests.chaos.taps import start_taps

logger = logging.getLogger(__name__)

FLOW_SECONDS = 40.0
#: Everything accepted has taken effect so long after the last fault, whatever happened.
REST_BOUND_SECONDS = 60.0
#: So long a fault is waited for before the next, where they come one by one.
LONGEST_RECOVERY_SECONDS = 35.0
#: How long a fault waits for what it needs, which another fault may have taken away, and between two looks.
READY_SECONDS = 30.0
AGAIN_SECONDS = 0.5
#: At rest means that so many looks in a row saw nothing left to do; WebSocket clients catch up meanwhile.
QUIET_SAMPLES = 12
#: After a death, by pattern of a fault's name, everything is persisted and published again within the first time, and
#: larger candles are right again within the second one.
DEATHS = ("kill:workers-*", "kill:redis", "kill:bridge-*", "empty:redis", "flush:redis")
PERSISTED_BOUND_SECONDS = 15.0
RECOVERED_BOUND_SECONDS = 30.0


@dataclass
class Happened:
    """One fault as it really was; times in Unix seconds."""

    fault: str
    began_at: float
    #: When it was over, or, of a fault of one moment, when that was: recovery counts from here.
    over_at: float = 0.0
    #: Until everything accepted before, and something later, was committed by every bridge.
    recovered_seconds: float | None = None
    #: The same of those bridges alone that move minutes.
    persisted_seconds: float | None = None
    #: Whether another fault was there before it had recovered: then the number means little.
    disturbed: bool = False


@dataclass
class Result:
    """What one run came to."""

    label: str
    plan: Sequence[Planned]
    happened: list[Happened] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    #: Checker, or ``rest``, ``bounds``, ``deaths``, to what it found.
    violations: dict[str, list[str]] = field(default_factory=dict)
    rest_seconds: float | None = None
    records: int = 0
    restarts: int = 0
    seconds: float = 0.0
    timed: list[tuple[str, float, float]] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether nothing was violated."""
        return not self.violations


def run_once(
    clusters: Clusters,
    label: str,
    plan: Sequence[Planned],
    seconds: float,
    *,
    one_by_one: bool = False,
    wait_for_groups: Collection[str] = GROUPS,
    commands: Mapping[str, tuple[str, ...]] | None = None,
    keep: Path | None = None,
) -> Result:
    """Run a plan on a fresh system.

    Args:
        clusters: Starts the system; must be prepared.
        label: Names the run in logs and folders.
        plan: The faults.
        seconds: How long to go on, at least, from the first candles on.
        one_by_one: Wait before each fault until the system has recovered from the one before.
        wait_for_groups: Whose recovery that is.
        commands: Programs to start by another command, with which the harness itself is tested.
        keep: A folder for logs and evidence of a run that violates something; None: none are kept.

    Raises:
        TimeoutError: If the system does not come up, or a fault cannot be brought about.
    """
    began = time.monotonic()
    result = Result(label, plan)
    with clusters.start(commands or {}) as cluster:
        wait_for("candles flow", lambda: flows(cluster), FLOW_SECONDS)
        taps = start_taps(cluster)
        _act(cluster, plan, seconds, result, wait_for_groups if one_by_one else ())
        cluster.keeper.hold_down("simulate")
        # What nobody watches may wait for a while, and its offset is not committed before.
        taps.clients.follow_all_larger()
        try:
            result.rest_seconds = cluster.progress.wait_caught_up(
                "everything accepted took effect", seconds=REST_BOUND_SECONDS, quiet=QUIET_SAMPLES
            )
        except TimeoutError as error:
            result.violations["rest"] = [str(error)]
        evidence = taps.stop()
        _judge(cluster, evidence, result)
        result.seconds = time.monotonic() - began
        if keep is not None and not result.holds:
            _keep(cluster, evidence, keep)
    return result


def flows(cluster: Cluster) -> bool:
    """Whether candles come, and every bridge has committed some."""
    samples = cluster.progress.samples
    return bool(samples) and all(sum(each.values()) > 0 for each in samples[-1].committed.values())


def _act(
    cluster: Cluster, plan: Sequence[Planned], seconds: float, result: Result, wait_for_groups: Collection[str]
) -> None:
    """Bring about the faults, each in its turn, and after these groups have recovered from the one before.

    Some take a while to bring about; the plan's time stands still meanwhile, so that it stays true what overlaps.
    """
    numbers = count()
    due: list[tuple[float, int, Callable[[], None]]] = []
    started = time.monotonic()
    moment = busy = 0.0

    def at(moment: float, action: Callable[[], None]) -> None:
        heappush(due, (moment, next(numbers), action))

    def begin(planned: Planned) -> None:
        fault = FAULTS[planned.fault]
        if reason := fault.impossible(cluster):
            result.skipped[fault.name] = reason
            return
        if not fault.is_ready(cluster):
            if moment < planned.at + READY_SECONDS:
                at(moment + AGAIN_SECONDS, lambda: begin(planned))
            else:
                result.skipped[fault.name] = f"not possible for {READY_SECONDS:g} s"
            return
        if wait_for_groups and result.happened:
            _wait_recovered(cluster, result.happened[-1], wait_for_groups)
        logger.info("%s begins", fault.name)
        happened = Happened(fault.name, time.time())
        result.happened.append(happened)
        cluster.injected[fault.name] += 1
        fault.begin(cluster)
        happened.over_at = happened.began_at
        if fault.seconds[1]:
            at(planned.until, lambda: end(happened))

    def end(happened: Happened) -> None:
        logger.info("%s ends", happened.fault)
        happened.over_at = time.time()
        FAULTS[happened.fault].end(cluster)

    for planned in plan:
        at(planned.at, lambda planned=planned: begin(planned))  # type: ignore[misc]
    at(seconds, lambda: None)
    while due:
        moment, _, action = heappop(due)
        time.sleep(max(0.0, started + moment + busy - time.monotonic()))
        before = time.monotonic()
        action()
        busy += time.monotonic() - before


def _wait_recovered(cluster: Cluster, happened: Happened, groups: Collection[str]) -> None:
    with suppress(TimeoutError):  # the results say that it did not
        wait_for(
            "recovery",
            lambda: recovered_after(cluster.progress.samples, happened.over_at, groups) is not None,
            LONGEST_RECOVERY_SECONDS,
        )


def _judge(cluster: Cluster, evidence: Evidence, result: Result) -> None:
    result.records, result.restarts = len(evidence.acknowledged), cluster.keeper.restarts.total()
    result.timed = cluster.timed
    _measure(cluster, result)
    bounds = [f"{what}: {took:.1f} s, promised are {bound:g} s" for what, took, bound in cluster.timed if took > bound]
    for happened in result.happened:
        is_death = any(fnmatchcase(happened.fault, name) for name in DEATHS)
        if not is_death or not came_after(cluster.progress.samples, happened.over_at):
            continue
        for what, took, bound in (
            ("not persisted", happened.persisted_seconds, PERSISTED_BOUND_SECONDS),
            ("not recovered", happened.recovered_seconds, RECOVERED_BOUND_SECONDS),
        ):
            if (took is None or took > bound) and not _is_disturbed(happened, took, result):
                bounds.append(f"{happened.fault}: {what} after {bound:g} s (took {took})")
    found = {"bounds": bounds, "deaths": _deaths(cluster)} | {name: check(evidence) for name, check in CHECKERS.items()}
    result.violations |= {name: each for name, each in found.items() if each}


def _deaths(cluster: Cluster) -> list[str]:
    """Programs of ours that ended although nobody ended them; what they use may fail, they may not."""
    return [
        f"{life.program} ended by itself with status {life.status} after {life.ended_at - life.started_at:.1f} s"
        for life in cluster.keeper.lives
        if not life.expected and turn_of(life.program) is Turn.OURS
    ]


def _measure(cluster: Cluster, result: Result) -> None:
    for happened in result.happened:
        samples = cluster.progress.samples
        took = happened.recovered_seconds = recovered_after(samples, happened.over_at)
        happened.persisted_seconds = recovered_after(samples, happened.over_at, MINUTES_GROUPS)
        happened.disturbed = _is_disturbed(happened, took, result)


def _is_disturbed(happened: Happened, took: float | None, result: Result) -> bool:
    """Whether another fault was there before so many seconds after one was over."""
    until = float("inf") if took is None else happened.over_at + took
    return any(
        other is not happened and other.began_at < until and other.over_at > happened.over_at
        for other in result.happened
    )


def _keep(cluster: Cluster, evidence: Evidence, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copytree(cluster.stack.logs, folder / "logs")
    shutil.copy(cluster.sim_log, folder / "sim.log")
    evidence = replace(evidence, sim_log=folder / "sim.log")
    with (folder / "evidence.pickle").open("wb") as file:
        pickle.dump(evidence, file)
