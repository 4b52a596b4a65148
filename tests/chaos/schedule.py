"""Which faults a run has, and when: a pure function of its seed."""

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Protocol

#: The first fault comes so long after the beginning (seconds), and every one has ended so long before the end.
LEAD_SECONDS = 1.0
REST_SECONDS = 0.5
FEWEST, MOST = 4, 7
#: In a run of named faults, from the end of one to the beginning of the next.
GAP_SECONDS = 1.0
_ATTEMPTS = 50


class Shape(Protocol):
    """What is asked of a fault to find its place; see `tests.chaos.faults.Fault`."""

    @property
    def kind(self) -> str:
        """Its kind."""

    @property
    def target(self) -> str:
        """What it happens to."""

    @property
    def seconds(self) -> tuple[float, float]:
        """How long it lasts, at least and at most."""

    @property
    def alone(self) -> bool:
        """Whether nothing else may happen meanwhile."""


@dataclass(frozen=True)
class Planned:
    """One fault in its place; times in seconds after the beginning."""

    at: float
    fault: str
    seconds: float

    @property
    def until(self) -> float:
        """When it ends."""
        return self.at + self.seconds


def plan(seed: int, seconds: float, faults: Mapping[str, Shape]) -> list[Planned]:
    """Draw the faults of a run, in the order in which they begin.

    A kind is drawn first and a target second, so that a kind with many targets is not more likely than others. Two
    faults of one target, and any two of which one wants to be alone, never overlap.

    Args:
        seed: The same seed always gives the same plan.
        seconds: Length of the run; one that is short has fewer faults.
        faults: What there is to draw from, by name.
    """
    drawing = random.Random(seed)
    kinds: dict[str, list[str]] = {}
    for name, fault in faults.items():
        kinds.setdefault(fault.kind, []).append(name)
    planned: list[Planned] = []
    wanted = drawing.randint(FEWEST, MOST)
    for _ in range(_ATTEMPTS):
        if len(planned) == wanted:
            break
        name = drawing.choice(kinds[drawing.choice(sorted(kinds))])
        shortest, longest = faults[name].seconds
        latest = seconds - REST_SECONDS - shortest
        if latest < LEAD_SECONDS:
            continue
        at = round(drawing.uniform(LEAD_SECONDS, latest), 2)
        lasts = round(drawing.uniform(shortest, max(shortest, min(longest, seconds - REST_SECONDS - at))), 2)
        new = Planned(at, name, lasts)
        if not any(_collide(new, each, faults) for each in planned):
            planned.append(new)
    return sorted(planned, key=lambda each: each.at)


def _collide(one: Planned, other: Planned, faults: Mapping[str, Shape]) -> bool:
    if one.until < other.at or other.until < one.at:
        return False
    first, second = faults[one.fault], faults[other.fault]
    return first.alone or second.alone or first.target == second.target


def line_up(names: Iterable[str], faults: Mapping[str, Shape]) -> list[Planned]:
    """These faults one after the other, each for the middle of its length, with a gap in between."""
    planned: list[Planned] = []
    at = LEAD_SECONDS
    for name in names:
        lasts = sum(faults[name].seconds) / 2
        planned.append(Planned(round(at, 2), name, lasts))
        at += lasts + GAP_SECONDS
    return planned


def choose(patterns: Sequence[str], names: Iterable[str]) -> list[str]:
    """The names that match: a whole name, a kind, or a pattern such as ``kill:bridge-*``; in the order asked for.

    Raises:
        ValueError: If a pattern matches nothing.
    """
    known = list(names)
    chosen: list[str] = []
    for pattern in patterns:
        found = [name for name in known if name.partition(":")[0] == pattern or fnmatchcase(name, pattern)]
        if not found:
            raise ValueError(f"no fault matches {pattern!r}; kinds are {', '.join(_kinds(known))}")
        chosen += found
    return chosen


def _kinds(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(name.partition(":")[0] for name in names))


def to_json(planned: Sequence[Planned]) -> str:
    """The plan on one line, to be logged."""
    return json.dumps([asdict(each) for each in planned])
