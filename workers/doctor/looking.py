"""Looks at several things side by side, each within a time of its own: what hangs must not hide the rest."""

import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field

from workers.doctor.findings import Finding, broken


@dataclass(frozen=True)
class Look:
    """One look.

    Args:
        subject: What it is at.
        find: Gives the findings one by one; may hang, and what it raises becomes a finding.
        advice: What to do if it hangs.
        seconds: How long it may take.
    """

    subject: str
    find: Callable[[], Iterable[Finding]]
    advice: str
    seconds: float


@dataclass
class _Running:
    look: Look
    findings: list[Finding] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        try:
            for finding in self.look.find():
                self.findings.append(finding)
        except Exception as error:
            # A fault of ours, or an answer that nobody foresaw; the other looks go on.
            found = f"cannot be looked at: {type(error).__name__}: {error}"
            self.findings.append(broken(self.look.subject, found, "see whether the versions of both sides fit"))
        self.ended.set()


def look_at(looks: Sequence[Look]) -> Generator[list[Finding], None, None]:
    """The findings of each look, in the given order; together they take as long as the one with the most time."""
    began_at = time.monotonic()
    running = [_Running(look) for look in looks]
    for each in running:
        # A daemon: one that hangs for ever must not keep the process.
        threading.Thread(target=each.run, name=each.look.subject, daemon=True).start()
    for each in running:
        in_time = each.ended.wait(max(0.0, began_at + each.look.seconds - time.monotonic()))
        findings = list(each.findings)
        if not in_time:
            found = f"not answered within {each.look.seconds:g} s"
            findings.append(broken(each.look.subject, found, each.look.advice))
        yield findings
