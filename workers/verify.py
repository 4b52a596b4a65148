"""``python -m workers verify``: prove that the store holds what Kafka accepted, or name what it does not hold."""

import argparse
import time
from collections.abc import Sequence
from typing import Any

from ingest.candle import Candle
from ingest.codec import encode_candle
from ingest.topics import CANDLES
from workers.comparison import Comparison
from workers.console import Output, exact_json, utc
from workers.differences import Difference, Findings, Kind
from workers.errors import WorkersError
from workers.exit_status import DIFFERENT, FINE
from workers.offsets import Offsets
from workers.policies import PERSIST
from workers.settings import Settings
from workers.store import make_store
from workers.topic_reader import TopicReader


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
    finally:
        store.close()
    behind = _behind(reader) if findings.counts else None
    seconds = round(time.monotonic() - began_at, 1)
    if output.as_json:
        for difference in findings.differences:
            output.line(_record(difference))
        output.line(_summary(findings, behind, options.since, seconds))
    else:
        _print(findings, behind, seconds, output)
    return DIFFERENT if findings.counts else FINE


def _behind(reader: TopicReader) -> int | None:
    """How many records the persistence bridge has not committed: the likeliest cause of a difference."""
    try:
        return sum(each.behind for each in Offsets(reader, [PERSIST]).read())
    except WorkersError:
        return None


def _record(difference: Difference) -> dict[str, Any]:
    return {
        "difference": difference.kind,
        "document": difference.document or None,
        "topic": CANDLES,
        "partition": difference.partition,
        "offset": difference.offset,
        "reason": difference.reason,
        "expected": _json(difference.expected),
        "stored": _json(difference.stored),
    }


def _json(candle: Candle | None) -> Any:
    return None if candle is None else exact_json(encode_candle(candle))


def _summary(findings: Findings, behind: int | None, since_ms: int | None, seconds: float) -> dict[str, Any]:
    return {
        "result": "different" if findings.counts else "equal",
        "records": findings.records,
        "candles": findings.candles,
        **{str(kind): findings.counts[kind] for kind in Kind},
        "newer_in_store": findings.newer,
        "only_in_store": findings.only_in_store,
        "dead_letters": findings.dead_letters,
        "bridge_behind": behind,
        "since": since_ms,
        "seconds": seconds,
    }


def _print(findings: Findings, behind: int | None, seconds: float, output: Output) -> None:
    if findings.differences:
        output.table(["difference", "series", "open time (UTC)", "record", "what"], map(_row, findings.differences))
    total = findings.counts.total()
    if total > len(findings.differences):
        output.say(f"… and {total - len(findings.differences):,} more, see --limit")
    if total:
        kinds = ", ".join(f"{findings.counts[kind]:,} {kind}" for kind in Kind if findings.counts[kind])
        output.say(f"{_count(total, 'difference')}: {kinds}", "bold red")
    else:
        output.say("equal: the store holds the newest version of every candle in Kafka", "bold green")
    output.say(", ".join(_facts(findings, seconds)))
    if behind:
        output.say(f"the persistence bridge is {_count(behind, 'record')} behind: see `python -m workers lag`")


def _row(difference: Difference) -> Sequence[str]:
    candle = difference.expected or difference.stored
    record = "" if difference.partition is None else f"{CANDLES}/{difference.partition} @ {difference.offset}"
    series, opens = (candle.series.key, utc(candle.timestamp)) if candle else (difference.document, "")
    return difference.kind, series, opens, record, difference.reason


def _facts(findings: Findings, seconds: float) -> list[str]:
    facts = [f"{_count(findings.candles, 'candle')} in {_count(findings.records, 'record')} compared"]
    if findings.newer:
        facts.append(f"{findings.newer:,} newer in the store")
    if findings.dead_letters:
        facts.append(f"{_count(findings.dead_letters, 'dead letter')} left out")
    if findings.only_in_store:
        facts.append(f"{findings.only_in_store:,} more in the store than were read")
    return [*facts, f"{seconds:g} s"]


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
