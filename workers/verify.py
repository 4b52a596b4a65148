"""``python -m workers verify``: prove that the store holds what Kafka accepted and what follows, or name what not."""

import argparse
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ingest.candle import Candle
from ingest.codec import encode_candle
from ingest.topics import CANDLES
from workers.comparison import Comparison
from workers.console import Output, exact_json, utc
from workers.differences import Difference, Findings, Kind
from workers.errors import WorkersError
from workers.exit_status import DIFFERENT, FINE
from workers.larger_comparison import LargerComparison
from workers.offsets import Offsets
from workers.policies import PERSIST, ROLLUP
from workers.settings import Settings
from workers.store import make_store
from workers.topic_reader import TopicReader

_WRITERS: Final = (PERSIST, ROLLUP)


def verify(options: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Compare, print and return the exit status.

    Raises:
        WorkersError: If Kafka or the store cannot be asked.
    """
    began_at = time.monotonic()
    reader, store = TopicReader(settings.kafka_brokers), make_store(settings)
    try:
        findings = Comparison(
            reader,
            store,
            output.progress,
            since_ms=options.since,
            wait_seconds=options.wait,
            limit=options.limit,
        ).run()
        LargerComparison(
            store,
            output.progress,
            rollup_seconds=settings.rollup_seconds,
            since_ms=options.since,
            wait_seconds=options.wait,
            limit=options.limit,
        ).run(findings)
    finally:
        store.close()
    behind = _behind(reader) if findings.counts else {}
    seconds = round(time.monotonic() - began_at, 1)
    if output.as_json:
        for difference in findings.differences:
            output.line(_record(difference))
        output.line(_summary(findings, behind, options.since, seconds))
    else:
        _print(findings, behind, seconds, output)
    return DIFFERENT if findings.counts else FINE


def _behind(reader: TopicReader) -> dict[str, int]:
    """How many records those bridges that write into the store have not committed: the likeliest cause."""
    try:
        lags = Offsets(reader, list(_WRITERS)).read()
    except WorkersError:
        return {}
    return {policy.name: sum(each.behind for each in lags if each.bridge == policy.name) for policy in _WRITERS}


def _record(difference: Difference) -> dict[str, Any]:
    return {
        "difference": difference.kind,
        "document": difference.document or None,
        "topic": None if difference.partition is None else CANDLES,
        "partition": difference.partition,
        "offset": difference.offset,
        "reason": difference.reason,
        "expected": _json(difference.expected),
        "stored": _json(difference.stored),
    }


def _json(candle: Candle | None) -> Any:
    return None if candle is None else exact_json(encode_candle(candle))


def _summary(findings: Findings, behind: Mapping[str, int], since_ms: int | None, seconds: float) -> dict[str, Any]:
    return {
        "result": "different" if findings.counts else "equal",
        "records": findings.records,
        "candles": findings.candles,
        "larger_candles": findings.larger,
        **{str(kind): findings.counts[kind] for kind in Kind},
        "newer_in_store": findings.newer,
        "only_in_store": findings.only_in_store,
        "unexplained": findings.unexplained,
        "dead_letters": findings.dead_letters,
        "bridge_behind": behind.get(PERSIST.name),
        "rollup_behind": behind.get(ROLLUP.name),
        "since": since_ms,
        "seconds": seconds,
    }


def _print(findings: Findings, behind: Mapping[str, int], seconds: float, output: Output) -> None:
    if findings.differences:
        output.table(["difference", "series", "open time (UTC)", "record", "what"], map(_row, findings.differences))
    total = findings.counts.total()
    if total > len(findings.differences):
        output.say(f"… and {total - len(findings.differences):,} more, see --limit")
    if total:
        kinds = ", ".join(f"{findings.counts[kind]:,} {kind}" for kind in Kind if findings.counts[kind])
        output.say(f"{_count(total, 'difference')}: {kinds}", "bold red")
    else:
        output.say("equal: the store holds the newest version of every candle in Kafka, and what follows", "bold green")
    output.say(", ".join(_facts(findings, seconds)))
    for bridge, records in behind.items():
        if records:
            output.say(f"the bridge {bridge} is {_count(records, 'record')} behind: see `python -m workers lag`")


def _row(difference: Difference) -> Sequence[str]:
    candle = difference.expected or difference.stored
    record = "" if difference.partition is None else f"{CANDLES}/{difference.partition} @ {difference.offset}"
    series, opens = (candle.series.key, utc(candle.timestamp)) if candle else (difference.document, "")
    return difference.kind, series, opens, record, difference.reason


def _facts(findings: Findings, seconds: float) -> list[str]:
    facts = [f"{_count(findings.candles, 'candle')} in {_count(findings.records, 'record')}"]
    facts.append(f"{_count(findings.larger, 'larger candle')} compared")
    if findings.newer:
        facts.append(f"{findings.newer:,} newer in the store")
    if findings.dead_letters:
        facts.append(f"{_count(findings.dead_letters, 'dead letter')} left out")
    if findings.only_in_store:
        facts.append(f"{_count(findings.only_in_store, 'minute')} more in the store than were read")
    if findings.unexplained:
        facts.append(f"{findings.unexplained:,} larger of minutes that are no longer held")
    return [*facts, f"{seconds:g} s"]


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
