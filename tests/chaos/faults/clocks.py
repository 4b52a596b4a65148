"""Clocks that are an hour off."""

import sys
from signal import SIGTERM

from tests.chaos.cluster import Cluster
from tests.chaos.faults.base import Fault

_SHIFT_SECONDS = 3600
#: The clock is right at first and jumps while the program runs; at the end the next start finds it right again.
_JUMPS_AFTER_SECONDS = 2.0


class _Shift(Fault):
    seconds = (4.0, 9.0)
    alone = True
    sign = 1

    def begin(self, cluster: Cluster) -> None:
        """Restart the program with a clock that jumps soon."""
        words = cluster.keeper.program(self.target).command
        shifted = (sys.executable, "-m", "tests.chaos.launch", "--shift", str(self.sign * _SHIFT_SECONDS))
        cluster.run_as(self.target, (*shifted, "--after", str(_JUMPS_AFTER_SECONDS), *words[2:]))
        cluster.restart(self.target, SIGTERM)

    def end(self, cluster: Cluster) -> None:
        """Restart it with the right clock."""
        cluster.run_as_usual(self.target)
        cluster.restart(self.target, SIGTERM)


class ClockAhead(_Shift):
    """A program's clock jumps an hour ahead and is set right later, between two starts."""

    kind = "clock+1h"


class ClockBehind(_Shift):
    """A program's clock falls back an hour and is set right later, between two starts."""

    kind = "clock-1h"
    sign = -1
