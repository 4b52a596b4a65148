"""Every fault that a run can have: `FAULTS`, by name."""

from collections.abc import Mapping
from types import MappingProxyType

from ingest.topics import CANDLES
from tests.chaos.faults.base import Fault
from tests.chaos.faults.clocks import ClockAhead, ClockBehind
from tests.chaos.faults.losses import Empty, Flush, FullDisk, Older, Recreate, RestoreStore
from tests.chaos.faults.network import BlackHole, Cut, Delay, DropReply, Limit, Reset
from tests.chaos.faults.poison import PoisonCandles, PoisonCompletions, PoisonExchange, PoisonQueue
from tests.chaos.faults.processes import PROGRAMS, Freeze, Kill, Second, Term
from tests.chaos.wiring import LINKS

__all__ = ["FAULTS", "KINDS", "Fault"]

#: Links whose requests change something.
_ASKING = (
    "ingest/kafka",
    "bridge-persist/kafka",
    "bridge-fanout/kafka",
    "bridge-rollup/kafka",
    "bridge-rollup-live/kafka",
    "bridge-persist/redis",
    "bridge-fanout/redis",
    "bridge-rollup/redis",
    "bridge-rollup-live/redis",
    "bridge-persist/mongo",
    "bridge-rollup/mongo",
    "workers-persist/redis",
    "workers-persist/mongo",
    "workers-fanout/redis",
    "workers-rollup/redis",
    "workers-rollup/mongo",
)
_BRIDGES = ("bridge-persist", "bridge-fanout", "bridge-rollup", "bridge-rollup-live")

_ALL: tuple[Fault, ...] = (
    *(fault(program) for fault in (Kill, Term, Freeze) for program in PROGRAMS),
    *(fault(link) for fault in (Cut, Reset, BlackHole, Delay, Limit) for link in LINKS),
    *(DropReply(link) for link in _ASKING),
    *(Second(bridge) for bridge in _BRIDGES),
    *(fault(program) for fault in (ClockAhead, ClockBehind) for program in ("ingest", *_BRIDGES)),
    *(FullDisk(service) for service in ("redis", "kafka")),
    Flush("redis"),
    Empty("redis"),
    Older("redis"),
    RestoreStore("store"),
    Recreate(CANDLES),
    PoisonCandles("candles"),
    PoisonQueue("queue"),
    PoisonCompletions("completions"),
    PoisonExchange("simulate"),
)

FAULTS: Mapping[str, Fault] = MappingProxyType({fault.name: fault for fault in _ALL})
#: Every kind, in the order above.
KINDS = tuple(dict.fromkeys(fault.kind for fault in _ALL))
