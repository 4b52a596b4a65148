"""Programs that die, are stopped, or stand still."""

from signal import SIGCONT, SIGINT, SIGKILL, SIGSTOP, SIGTERM

from tests.chaos.cluster import Cluster
from tests.chaos.faults.base import Fault
from tests.chaos.keeper import wait_for

PROGRAMS = (
    "kafka",
    "redis",
    "postgres",
    "ferretdb",
    "simulate",
    "ingest",
    "bridge-persist",
    "bridge-fanout",
    "bridge-rollup",
    "bridge-rollup-live",
    "workers-persist-1",
    "workers-persist-2",
    "workers-fanout-1",
    "workers-rollup-1",
    "ws",
    "rest",
)
#: Every process of ours has left so long after SIGTERM.
STOP_BOUND_SECONDS = 15.0
_RUNS_SECONDS = 10.0
#: Health ports of second bridges; ``PORT_OFFSET`` is added.
_SECOND_PORTS = {"bridge-persist": 9106, "bridge-fanout": 9107, "bridge-rollup": 9108, "bridge-rollup-live": 9109}


class Kill(Fault):
    """``kill -9`` of a program with all its children: a crash, the kernel's out-of-memory killer."""

    kind = "kill"

    def begin(self, cluster: Cluster) -> None:
        """Kill; the keeper starts it again."""
        pid = running_pid(cluster, self.target)
        cluster.keeper.signal(self.target, SIGKILL)
        cluster.keeper.wait_gone(self.target, pid)


class Term(Fault):
    """SIGTERM: a deployment, a restart by an operator. The program has to leave in time, losing nothing."""

    kind = "term"

    def begin(self, cluster: Cluster) -> None:
        """Ask it to leave, and note how long that took; the keeper starts it again."""
        pid = running_pid(cluster, self.target)
        cluster.keeper.signal(self.target, SIGINT if self.target == "postgres" else SIGTERM)
        try:
            took = cluster.keeper.wait_gone(self.target, pid, STOP_BOUND_SECONDS + 5)
        except TimeoutError:
            took = float("inf")
            cluster.keeper.signal(self.target, SIGKILL)
        cluster.took(f"{self.target} exits after SIGTERM", took, STOP_BOUND_SECONDS)


class Freeze(Fault):
    """SIGSTOP, later SIGCONT, of a program with all its children: a machine that swaps, a paused virtual one.

    Its connections stay open and answer nothing, and it does not know that time has passed.
    """

    kind = "stop"
    seconds = (1.0, 9.0)

    def begin(self, cluster: Cluster) -> None:
        """Freeze."""
        running_pid(cluster, self.target)
        cluster.keeper.signal(self.target, SIGSTOP)

    def end(self, cluster: Cluster) -> None:
        """Let it go on."""
        cluster.keeper.signal(self.target, SIGCONT)


class Second(Fault):
    """A second bridge in the group, the first one killed, the second one gone: rebalances in mid-batch."""

    kind = "second"
    seconds = (3.0, 8.0)

    @property
    def _other(self) -> str:
        return f"{self.target}-2"

    def begin(self, cluster: Cluster) -> None:
        """Start another one; the group is balanced between both."""
        cluster.start_another(self._other, self.target, _SECOND_PORTS[self.target] + cluster.stack.ports.offset)

    def end(self, cluster: Cluster) -> None:
        """Kill the first, wait until it is there again, kill the second."""
        pid = running_pid(cluster, self.target)
        cluster.keeper.signal(self.target, SIGKILL)
        cluster.keeper.wait_gone(self.target, pid)
        wait_for(f"{self.target} is there again", lambda: cluster.answers(self.target), _RUNS_SECONDS)
        cluster.keeper.remove(self._other)


def running_pid(cluster: Cluster, name: str) -> int:
    """The id of a program's process; waits until it runs, as another fault may just have ended it.

    Raises:
        TimeoutError: If it does not run.
    """
    wait_for(f"{name} runs", lambda: cluster.keeper.pid(name), _RUNS_SECONDS, every=0.02)
    pid = cluster.keeper.pid(name)
    assert pid is not None
    return pid
