"""Looks go on side by side, and one that hangs or fails hides nothing of the others, or of what it found before."""

import threading
import time
from collections.abc import Iterator

from workers.doctor.findings import Finding, Verdict, ok
from workers.doctor.looking import Look, look_at


def test_findings_come_in_the_order_of_the_looks_though_these_wait_for_each_other() -> None:
    second_began = threading.Event()

    def first() -> Iterator[Finding]:
        assert second_began.wait(10)
        yield ok("first", "after the second")

    def second() -> Iterator[Finding]:
        second_began.set()
        yield ok("second", "a")
        yield ok("second", "b")

    found = list(look_at([Look("first", first, "", 20.0), Look("second", second, "", 20.0)]))

    assert found == [[ok("first", "after the second")], [ok("second", "a"), ok("second", "b")]]


def test_a_look_that_hangs_is_broken_after_its_time_and_keeps_what_it_found() -> None:
    for_ever = threading.Event()

    def hang() -> Iterator[Finding]:
        yield ok("kafka", "one broker")
        for_ever.wait()

    began_at = time.monotonic()
    found = list(look_at([Look("kafka", hang, "restart it", 0.2), Look("other", lambda: [ok("other", "")], "", 0.2)]))
    seconds = time.monotonic() - began_at
    for_ever.set()

    assert found == [
        [ok("kafka", "one broker"), Finding("kafka", Verdict.BROKEN, "not answered within 0.2 s", "restart it")],
        [ok("other", "")],
    ]
    assert seconds < 5


def test_a_look_that_fails_is_a_finding() -> None:
    def fail() -> Iterator[Finding]:
        yield ok("redis", "version 7")
        raise KeyError("maxmemory_policy")

    ((first, fault),) = look_at([Look("redis", fail, "", 5.0)])

    assert first == ok("redis", "version 7")
    assert (fault.verdict, fault.found) == (Verdict.BROKEN, "cannot be looked at: KeyError: 'maxmemory_policy'")
