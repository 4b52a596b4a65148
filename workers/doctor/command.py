"""What is looked at, and how what was found is shown."""

import argparse
import time
from collections import Counter
from collections.abc import Generator, Iterable
from typing import Final

from rich.text import Text

from workers.console import Output, harmless, make_table
from workers.doctor.bridges import find_dead_letters, find_in_bridges
from workers.doctor.findings import Finding, Verdict
from workers.doctor.kafka import find_in_kafka
from workers.doctor.looking import Look, look_at
from workers.doctor.programs import find_in_programs
from workers.doctor.redis_server import find_in_redis
from workers.doctor.store import find_in_store
from workers.exit_status import DIFFERENT, FINE
from workers.settings import Settings

#: How long a look may take; all go on side by side.
LOOK_SECONDS: Final = 10.0
#: Servers are asked only when the settings have been read, which needs a process of its own.
PROGRAMS_SECONDS: Final = 13.0
_STYLES: Final = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.BROKEN: "bold red"}
_COLUMNS: Final = ("", "what", "found", "what to do")


def doctor(options: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Look at everything, print a line for each finding, and return the exit status."""
    began_at = time.monotonic()
    looks = looks_of(settings, options.rest, options.ws)
    findings: list[Finding] = []
    with output.progress("looking", len(looks)) as advance:
        for found in look_at(looks):
            findings += found
            advance(1)
    counts = Counter(each.verdict for each in findings)
    _show(findings, counts, time.monotonic() - began_at, options.json, output)
    return DIFFERENT if counts[Verdict.BROKEN] else FINE


def looks_of(settings: Settings, rest_url: str | None, ws_url: str | None) -> list[Look]:
    """Everything that is looked at, in the order in which it is shown."""
    brokers = settings.kafka_brokers
    kafka, redis = "see whether Kafka stands still, and restart it", "see whether Redis stands still, and restart it"
    looks = [
        Look(
            "settings",
            lambda: find_in_programs(rest_url, ws_url),
            "look again when there is less to do",
            PROGRAMS_SECONDS,
        ),
        Look("kafka", lambda: _find_by_kafka(brokers), kafka, LOOK_SECONDS),
        Look(
            "redis",
            lambda: find_in_redis("redis", settings.redis_url, "REDIS_URL", has_jobs=True),
            redis,
            LOOK_SECONDS,
        ),
    ]
    if settings.live_url != settings.redis_url:
        looks.append(
            Look(
                "live redis",
                lambda: find_in_redis("live redis", settings.live_url, "LIVE_REDIS_URL", has_jobs=False),
                redis,
                LOOK_SECONDS,
            )
        )
    store = "see whether the MongoDB-compatible server and its storage stand still, and restart them"
    return [*looks, Look("mongodb", lambda: find_in_store(settings), store, LOOK_SECONDS)]


def _find_by_kafka(brokers: str) -> Generator[Finding, None, None]:
    """What is asked of Kafka, one after the other: if it does not answer the first question, that is said once."""
    if (yield from find_in_kafka(brokers)):
        yield from find_in_bridges(brokers)
        yield from find_dead_letters(brokers)


def _show(findings: Iterable[Finding], counts: Counter[Verdict], seconds: float, as_json: bool, output: Output) -> None:
    if as_json:
        for each in findings:
            line = {
                "subject": each.subject,
                "verdict": each.verdict,
                "found": each.found,
                "advice": each.advice or None,
            }
            output.line(line)
        result = "broken" if counts[Verdict.BROKEN] else "working"
        output.line({"result": result, **{each.value: counts[each] for each in Verdict}, "seconds": round(seconds, 1)})
        return
    if output.as_json:  # no terminal: a line each, to be searched and mailed
        for each in findings:
            advice = f"; {each.advice}" if each.advice else ""
            output.say(harmless(f"{each.verdict:<7}  {each.subject}: {each.found}{advice}"))
    else:
        output.people.print(make_table(_COLUMNS, map(_row, findings)))
    summary = ", ".join(f"{counts[each]} {each}" for each in (Verdict.BROKEN, Verdict.WARNING, Verdict.OK))
    output.say(f"{summary}; {seconds:.1f} s")


def _row(each: Finding) -> tuple[str | Text, ...]:
    return Text(each.verdict, _STYLES[each.verdict]), each.subject, each.found, each.advice
