"""What a look at something finds."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

#: Clocks that differ by more than this are worth a word, and by more than that bring versions into a wrong order
#: (seconds).
CLOCK_SECONDS: Final = 1.0
BROKEN_CLOCK_SECONDS: Final = 60.0


class Verdict(StrEnum):
    """How something is."""

    OK = "ok"
    WARNING = "warning"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Args:
        subject: What was looked at.
        verdict: How it is.
        found: What was found, without a full stop.
        advice: What to do about it, one sentence without a full stop; empty if it is ok.
    """

    subject: str
    verdict: Verdict
    found: str
    advice: str = ""


def ok(subject: str, found: str) -> Finding:
    """It is as it should be."""
    return Finding(subject, Verdict.OK, found)


def warning(subject: str, found: str, advice: str) -> Finding:
    """It works, but will not in every case that the documentation promises it for."""
    return Finding(subject, Verdict.WARNING, found, advice)


def broken(subject: str, found: str, advice: str) -> Finding:
    """It does not work."""
    return Finding(subject, Verdict.BROKEN, found, advice)


def clock(subject: str, ahead_seconds: float) -> Finding:
    """How a service's clock is; ``ahead_seconds`` of this machine's."""
    found = f"its clock is {abs(ahead_seconds):.1f} s {'ahead of' if ahead_seconds > 0 else 'behind'} ours"
    advice = "synchronise the clocks of both machines, with chrony or systemd-timesyncd for example"
    if abs(ahead_seconds) > BROKEN_CLOCK_SECONDS:
        return broken(subject, found, advice)
    if abs(ahead_seconds) > CLOCK_SECONDS:
        return warning(subject, found, advice)
    return ok(subject, f"its clock and ours agree within {CLOCK_SECONDS:g} s")
