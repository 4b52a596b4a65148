"""``python -m workers lag``: how far each bridge is in each partition."""

import argparse
import dataclasses
import time
from collections.abc import Sequence
from typing import Final, NoReturn

from rich.console import Group
from rich.live import Live
from rich.text import Text

from workers.console import Output, harmless, make_table
from workers.errors import KafkaUnavailable
from workers.exit_status import FINE
from workers.offsets import Lag, Offsets
from workers.policies import POLICIES
from workers.settings import Settings
from workers.topic_reader import TopicReader

WATCH_SECONDS: Final = 1.0

#: What a server binds to, and nobody can connect to everywhere.
_ANY_ADDRESS: Final = {"0.0.0.0", "::"}
_COLUMNS: Final = ("bridge", "topic", ">partition", ">end", ">committed", ">behind", ">in flight", ">oldest")


def lag(options: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Print the lag, with ``--watch`` once a second until Ctrl-C, and return the exit status.

    Raises:
        WorkersError: If Kafka cannot be asked.
    """
    host = "127.0.0.1" if settings.health_host in _ANY_ADDRESS else settings.health_host
    health = {name: f"{host}:{policy.health_port}" for name, policy in POLICIES.items()} | dict(options.health)
    offsets = Offsets(TopicReader(settings.kafka_brokers), list(POLICIES.values()), health)
    if not options.watch:
        _write(offsets.read(), output)
        return FINE
    try:
        _watch(offsets, output)
    except KeyboardInterrupt:  # this is how watching ends
        return FINE


def _watch(offsets: Offsets, output: Output) -> NoReturn:
    """Show the lag again and again; a Kafka that goes away meanwhile is part of what is watched."""
    lags: Sequence[Lag] = offsets.read()
    if output.as_json:
        while True:
            _write(lags, output)
            time.sleep(WATCH_SECONDS)
            lags, trouble = _read(offsets, [])
            if trouble:
                output.line({"error": trouble})
    with Live(_view(lags), console=output.people, auto_refresh=False) as live:
        while True:
            time.sleep(WATCH_SECONDS)
            lags, trouble = _read(offsets, lags)
            live.update(_view(lags, trouble), refresh=True)


def _read(offsets: Offsets, otherwise: Sequence[Lag]) -> tuple[Sequence[Lag], str]:
    try:
        return offsets.read(), ""
    except KafkaUnavailable as error:
        return otherwise, str(error)


def _write(lags: Sequence[Lag], output: Output) -> None:
    if not output.as_json:
        output.people.print(_view(lags))
        return
    for each in lags:
        output.line(dataclasses.asdict(each))


def _view(lags: Sequence[Lag], trouble: str = "") -> Group:
    totals = {each.bridge: sum(other.behind for other in lags if other.bridge == each.bridge) for each in lags}
    sentence = ", ".join(f"{bridge} {behind:,} behind" for bridge, behind in totals.items())
    table = make_table(_COLUMNS, map(_row, lags))
    return Group(table, Text(f"as it was: {harmless(trouble)}", "bold red") if trouble else Text(sentence))


def _row(each: Lag) -> tuple[str, ...]:
    return (
        each.bridge,
        each.topic,
        str(each.partition),
        f"{each.end:,}",
        "" if each.committed is None else f"{each.committed:,}",
        f"{each.behind:,}",
        "" if each.in_flight is None else f"{each.in_flight:,}",
        "" if each.oldest_seconds is None else age(each.oldest_seconds),
    )


def age(seconds: float) -> str:
    """A duration for people, in its two largest units from seconds on: ``0.4 s``, ``3 m 20 s``, ``2 d 4 h``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, hours, days = int(seconds) // 60, int(seconds) // 3600, int(seconds) // 86_400
    if minutes < 60:
        return f"{minutes} m {int(seconds) % 60} s"
    return f"{hours} h {minutes % 60} m" if hours < 24 else f"{days} d {hours % 24} h"
