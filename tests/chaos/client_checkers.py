"""What WebSocket clients may rely on, with the line protocol: it names no exchange, no state and no ``rev``.

So a frame is recognised by its values among the versions that Kafka holds of its candle.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.chaos.evidence import CandleKey, ClientLog, Evidence, Published
from tests.chaos.versions import Values, Version, values_of, versions

MINUTE_MS: Final = 60_000
#: The exchange whose candles the line protocol sends.
DEFAULT_EXCHANGE: Final = "sim"
#: How many of the newest candles the live side holds (``LIVE_WINDOW``).
LIVE_WINDOW: Final = 60
#: So many minutes of a series must have been heard without a hole before the order of one is taken for known.
_HEARD_MINUTES: Final = 2
#: So many minutes of which none could be judged, over all clients and pairs, are no proof.
_TOO_MANY_UNJUDGED: Final = 200


@dataclass(frozen=True)
class Line:
    """One candle as a client got it."""

    at: float
    key: CandleKey
    values: Values


def connections(client: ClientLog) -> Iterator[list[Line]]:
    """What a client got on each of its connections."""
    frames = [(at, frame) for at, frame in client.frames if "timestamp" in frame]
    for begin, end in client.connected:
        yield [_line(at, frame) for at, frame in frames if begin <= at <= end]


def _line(at: float, frame: dict[str, Any]) -> Line:
    return Line(at, (DEFAULT_EXCHANGE, frame["pair"], frame["timestamp"]), values_of(frame))


def _by_pair(lines: Iterable[Line]) -> dict[str, list[Line]]:
    found: dict[str, list[Line]] = {}
    for line in lines:
        found.setdefault(line.key[1], []).append(line)
    return found


def clients_only_move_forward(evidence: Evidence) -> list[str]:
    """I4: on each connection open times and the ``rev`` of every candle only rise, and the last is the store's newest.

    Across connections a client may be shown an older version: a server that starts while the live side has been
    emptied knows what the store holds by then. After everything came to rest that difference must be gone, too.
    """
    revs: dict[CandleKey, dict[Values, list[int]]] = {}
    for version in versions(evidence):
        revs.setdefault(version.key, {}).setdefault(version.values, []).append(version.rev)
    violations = []
    for client in evidence.clients:
        for lines in connections(client):
            for pair_lines in _by_pair(lines).values():
                violations += [f"{client.name}: {what}" for what in _steps_back(pair_lines, revs, evidence.recreated)]
        violations += [f"{client.name}: {what}" for what in _differs_at_the_end(client, evidence)]
    return violations


def _steps_back(
    lines: Sequence[Line], revs: dict[CandleKey, dict[Values, list[int]]], recreated: bool
) -> Iterator[str]:
    reached: dict[CandleKey, tuple[int, Values]] = {}
    newest = lines[0].key
    for line in lines:
        if line.key < newest:
            yield f"{line.key[1]} goes back from {newest[2]} to {line.key[2]}"
            return
        newest = line.key
        known = sorted(revs.get(line.key, {}).get(line.values, []))
        rev, values = reached.get(line.key, (-1, ()))
        if not known:
            if not recreated:  # else a record may have been gone before we could read it
                yield f"{line.key[1]}@{line.key[2]} shows values that were never in Kafka"
                return
        elif line.values != values:
            later = next((each for each in known if each > rev), None)
            if later is None:
                yield f"{line.key[1]}@{line.key[2]} goes back to rev {known[-1]} from rev {rev}"
                return
            reached[line.key] = later, line.values


def _differs_at_the_end(client: ClientLog, evidence: Evidence) -> Iterator[str]:
    if not client.connected or client.connected[-1][1] < evidence.ended_at:
        return
    last = {pair: lines[-1] for pair, lines in _by_pair(list(connections(client))[-1]).items()}
    for pair in client.pairs:
        keys = [key for key in evidence.stored if key[:2] == (DEFAULT_EXCHANGE, pair)]
        if not keys:
            continue
        newest = max(keys)
        line = last.get(pair)
        if line is None:
            yield f"was told nothing of {pair}"
        elif (line.key, line.values) != (newest, evidence.stored[newest].values):
            yield f"ends at {pair}@{line.key[2]}, which is not the store's newest candle or not its values"


def clients_get_every_final(evidence: Evidence) -> list[str]:
    """I5: of every minute that began and ended while a client was connected, the last it was told are the final values.

    What is final is what Kafka held when the minute's successor came. Two things the line protocol cannot tell, since
    it never turns back: values that reached the live side after their successor did, and a minute that fell out of the
    live window of `LIVE_WINDOW` candles, or that Redis forgot, before the server that was cut off could read it. So the
    live side has to be told in Kafka's order, which is asked of our own subscriber; where that missed messages, nothing
    is asked of the client either. Nothing at all to judge is a violation.
    """
    finals = _finals(versions(evidence))
    order = _Order(evidence.published)
    violations, judged, unjudged = [], 0, 0
    for client in evidence.clients:
        for lines in connections(client):
            for pair, pair_lines in _by_pair(lines).items():
                last = {line.key: line.values for line in pair_lines}
                ended = [key for key in finals if key[:2] == (DEFAULT_EXCHANGE, pair)]
                for key in ended:
                    if not pair_lines[0].key < key < pair_lines[-1].key:
                        continue
                    if not order.was_right(finals[key][0], _told_next(pair_lines, key)):
                        unjudged += 1
                        continue
                    judged += 1
                    if last.get(key) not in [each.values for each in finals[key]]:
                        violations.append(f"{client.name}: {pair}@{key[2]} did not end with its final values")
    if not judged and unjudged >= _TOO_MANY_UNJUDGED:
        violations.append(f"none of {unjudged} minutes could be judged")
    return violations + _overtaken(evidence)


def _overtaken(evidence: Evidence) -> list[str]:
    """Messages of the live side that came after one that Kafka holds behind theirs, nothing having been emptied."""
    places: dict[tuple[CandleKey, int], int] = {}
    for place, version in enumerate(versions(evidence)):
        places.setdefault((version.key, version.rev), place)
    violations = []
    for messages in _Order(evidence.published).runs():
        known = [(places[each.key, each.rev], each) for each in messages if (each.key, each.rev) in places]
        violations += [
            f"{late.key[1]}@{late.key[2]} rev {late.rev} was published after {early.key[2]} rev {early.rev}"
            for (earlier, early), (later, late) in itertools.pairwise(known)
            if later < earlier
        ]
    return violations


def _told_next(lines: Iterable[Line], key: CandleKey) -> float:
    """When a client was first told something newer than a candle."""
    return next(line.at for line in lines if line.key > key)


def _finals(all_versions: Iterable[Version]) -> dict[CandleKey, list[Version]]:
    """Each candle's newest version when its successor came, and what replaced that one later."""
    running: dict[CandleKey, Version] = {}
    newest: dict[tuple[str, str], CandleKey] = {}
    finals: dict[CandleKey, list[Version]] = {}
    for version in all_versions:
        key = version.key
        if key not in running or running[key].rev < version.rev:
            running[key] = version
            if key in finals:
                finals[key].append(version)
        before = newest.setdefault(key[:2], key)
        if key > before:
            finals[before] = [running[before]]
            newest[key[:2]] = key
    return finals


class _Order:
    """What our own subscriber heard of each series, as runs of messages without a hole."""

    def __init__(self, published: Iterable[Published]) -> None:
        published = list(published)
        #: When each life of a series' hash began, for us.
        self._began: dict[tuple[str, str], dict[str, float]] = {}
        for message in published:
            self._began.setdefault(message.key[:2], {}).setdefault(message.epoch, message.at)
        self._runs: dict[tuple[str, str], list[list[Published]]] = {}
        for message in published:
            runs = self._runs.setdefault(message.key[:2], [[]])
            if runs[-1] and (runs[-1][-1].epoch, runs[-1][-1].number + 1) != (message.epoch, message.number):
                runs.append([])
            runs[-1].append(message)

    def runs(self) -> Iterator[list[Published]]:
        """Every run, of whatever series."""
        return itertools.chain.from_iterable(self._runs.values())

    def was_right(self, final: Version, told_next_at: float) -> bool:
        """Whether a candle's final values came before its successor, and were within reach of a client.

        ``told_next_at``: when that client was told something newer.
        """
        for run in self._runs.get(final.key[:2], []):
            if max(message.key for message in run) <= final.key:
                continue
            if run[0].key[2] <= final.key[2] - _HEARD_MINUTES * MINUTE_MS:
                until_successor = itertools.takewhile(lambda message: message.key <= final.key, run)
                told = any(message.key == final.key and message.values == final.values for message in until_successor)
                forgotten = any(run[-1].at <= at <= told_next_at for at in self._began[final.key[:2]].values())
                if forgotten:
                    return False
                newest = max(message.key for message in run if message.at <= told_next_at or message.key == final.key)
                return told and newest[2] - final.key[2] < LIVE_WINDOW * MINUTE_MS
            return False  # a successor was heard, and what came before it was not
        return False
