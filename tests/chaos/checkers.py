"""The guarantees, each as a function from the evidence of a run to a list of violations, one sentence each.

They are asked after everything came to rest. `CHECKERS` names them; what each proves stands in its first sentence.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from tests.chaos.client_checkers import clients_get_every_final, clients_only_move_forward
from tests.chaos.evidence import CandleKey, Checker, Evidence, StoredCandle
from tests.chaos.larger_checkers import (
    larger_candles_equal_their_minutes,
    larger_candles_only_move_forward,
    larger_clients_only_move_forward,
    live_side_equals_store,
)
from tests.chaos.process_checkers import memory_is_flat, metrics_show_what_happened
from tests.chaos.simulated import Sent, sent
from tests.chaos.versions import (
    DeadPlaces,
    Values,
    Version,
    is_good,
    letter_place,
    parse_version,
    versions,
)

MINUTE_MS: Final = 60_000
#: What Kafka took within the last moments of a topic that was then deleted may have died with it (seconds).
DOOMED_SECONDS: Final = 3.0


def store_equals_kafka(evidence: Evidence) -> list[str]:
    """I1: the store holds the highest ``rev`` of every candle that Kafka acknowledged, value by value, and no twins.

    Dead letters are left out, and have to be such that no store could take them. A topic that is deleted takes its
    last `DOOMED_SECONDS` with it: there the store may hold that version or an older one.
    """
    by_key: dict[CandleKey, list[Version]] = {}
    for version in versions(evidence):
        by_key.setdefault(version.key, []).append(version)
    doomed = _doomed_since(evidence)
    violations = []
    for key, all_versions in by_key.items():
        safe = [each for each in all_versions if each.record.at < doomed.get(each.record.incarnation, float("inf"))]
        least = max((each.rev for each in safe), default=None)
        violations += _stored_as_in_kafka(key, evidence.stored.get(key), all_versions, least)
    # A topic that is made anew may hold records for moments that nobody but the bridges read.
    if not evidence.recreated:
        violations += [f"{name(key)}: stored, never in Kafka" for key in evidence.stored.keys() - by_key.keys()]
    candles = len(evidence.stored) + len(evidence.larger)
    if evidence.documents != candles:
        violations.append(f"{evidence.documents} documents hold {candles} candles")
    return violations + _dead_letters(evidence)


def _stored_as_in_kafka(
    key: CandleKey, stored: StoredCandle | None, all_versions: list[Version], least: int | None
) -> list[str]:
    """``least``: the lowest ``rev`` that the store may hold; None if it may hold nothing."""
    if stored is None:
        return [] if least is None else [f"{name(key)}: rev {least} is in Kafka, nothing is stored"]
    if least is not None and stored.rev < least:
        return [f"{name(key)}: rev {least} is in Kafka, rev {stored.rev} is stored"]
    same = {(each.state, each.values) for each in all_versions if each.rev == stored.rev}
    if not same:
        return [f"{name(key)}: rev {stored.rev} is stored, never in Kafka"]
    if len(same) > 1:
        return [f"{name(key)}: rev {stored.rev} stands for {len(same)} different versions in Kafka"]
    if same != {(stored.state, stored.values)}:
        return [f"{name(key)}: rev {stored.rev} is stored as {stored.state} {_shown(stored.values)}, other in Kafka"]
    return []


def _doomed_since(evidence: Evidence) -> dict[str, float]:
    """Incarnation of `candles` to the moment since which its records may have died with it."""
    last_at: dict[str, float] = {}
    for record in evidence.acknowledged:
        last_at[record.incarnation] = record.at
    return {incarnation: at - DOOMED_SECONDS for incarnation, at in list(last_at.items())[:-1]}


def _dead_letters(evidence: Evidence) -> list[str]:
    """What is no candle is among the dead letters, and what is there from `candles` is no candle."""
    dead = DeadPlaces(evidence.dead_letters)
    violations = [
        f"candles/{record.partition}@{record.offset}: no candle, and not among the dead letters"
        for record in evidence.acknowledged
        if parse_version(record) is None and not dead.hold(record)
    ]
    return violations + [
        f"dead letter of candles/{partition}@{offset} is a candle that the store can take"
        for letter in evidence.dead_letters
        for topic, partition, offset in [letter_place(letter)]
        if topic == "candles" and is_good(letter)
    ]


def commits_never_pass(evidence: Evidence) -> list[str]:
    """I2: at no moment of the run was a committed offset above the first row that had not taken effect."""
    return [
        f"{sample.group} had {sample.topic}/{sample.partition} committed up to {sample.committed}, "
        f"while the row at {sample.first_unapplied} had no effect"
        for sample in evidence.commits
        if sample.first_unapplied is not None and sample.committed > sample.first_unapplied
    ]


def frames_are_accounted_for(evidence: Evidence) -> list[str]:
    """I3: every candle that the exchange sent is in Kafka, is superseded there by a later frame, or is known as unseen.

    Unseen is what a ``gap`` or ``lost`` event covers. Gaps are in the exchange's time: one covers a frame that may have
    been sent within it, and the minute in which it begins counts as unseen. What the exchange sent in or after the
    minute of the last beat's ``until`` is still open: a restarted ingest would begin its gap there.
    """
    in_kafka: dict[CandleKey, set[Values]] = {}
    for record in evidence.acknowledged:
        version = parse_version(record)
        if version is not None:
            in_kafka.setdefault(version.key, set()).add(version.values)
    by_key: dict[CandleKey, list[Sent]] = {}
    for each in sent(evidence.sim_log):
        by_key.setdefault(each.key, []).append(each)
    unseen = _Unseen(evidence.events)
    violations = []
    for key, frames in by_key.items():
        uncovered = [each for each in _after_last(frames, in_kafka.get(key, set())) if not unseen.covers(each)]
        if uncovered:
            violations.append(
                f"{name(key)}: {len(uncovered)} of {len(frames)} frames are neither in Kafka nor known as unseen, "
                f"the last as {_shown(uncovered[-1].values)}"
            )
    return violations


def _after_last(frames: Sequence[Sent], held: set[Values]) -> Sequence[Sent]:
    """The frames after the last one that is in Kafka; what comes before it is superseded there."""
    places = [place for place, frame in enumerate(frames, start=1) if frame.values in held]
    return frames[places[-1] :] if places else frames


class _Unseen:
    """Which frames the feed events account for."""

    def __init__(self, events: Iterable[Mapping[str, Any]]) -> None:
        self._gaps: dict[tuple[str, str], list[tuple[int, int]]] = {}
        self._lost: set[CandleKey] = set()
        self._until: dict[tuple[str, str], int] = {}
        for event in events:
            pairs = [(event["exchange"], pair) for pair in event.get("pairs", ())]
            if event["event"] == "gap":
                for pair in pairs:
                    self._gaps.setdefault(pair, []).append((event["from"], event["to"]))
            elif event["event"] == "lost":
                exchange, pair_name, _ = event["series"].split("|")
                self._lost.add((exchange, pair_name, event["timestamp"]))
            elif event["event"] == "beat" and event.get("until") is not None:
                self._until.update(dict.fromkeys(pairs, event["until"]))

    def covers(self, frame: Sent) -> bool:
        """Whether the frame is known as unseen, or is still open."""
        exchange, pair, open_time = frame.key
        until = self._until.get((exchange, pair))
        if frame.key in self._lost or (until is not None and open_time + MINUTE_MS > until):
            return True
        gaps = self._gaps.get((exchange, pair), [])
        return any(begin < open_time + MINUTE_MS and end > frame.not_before for begin, end in gaps)


def pages_descend(evidence: Evidence) -> list[str]:
    """I7: every REST page that was read while writes went on is strictly descending, so without twins."""
    violations = []
    for page in evidence.pages:
        times = [row["timestamp"] for row in page]
        for newer, older in itertools.pairwise(times):
            if older >= newer:
                violations.append(f"a page of {page[0]['pair']} has {older} after {newer}")
                break
    return violations


def name(key: CandleKey) -> str:
    """A candle as one word."""
    exchange, pair, open_time = key
    return f"{exchange}|{pair}@{open_time}"


def _shown(values: Values) -> str:
    return "/".join(map(str, values))


CHECKERS: Final[dict[str, Checker]] = {
    "I1": store_equals_kafka,
    "I2": commits_never_pass,
    "I3": frames_are_accounted_for,
    "I4": clients_only_move_forward,
    "I5": clients_get_every_final,
    "I6": memory_is_flat,
    "I7": pages_descend,
    "I8": metrics_show_what_happened,
    "I9": larger_candles_equal_their_minutes,
    "I10": larger_candles_only_move_forward,
    "I11": live_side_equals_store,
    "I12": larger_clients_only_move_forward,
}
