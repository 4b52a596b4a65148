"""What holds for larger candles: in the store, on the live side and for a client that follows some.

They are computed here anew from the minutes that the store holds, in the plainest way and without the code that is
being tested.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

from tests.chaos.evidence import CandleKey, ClientLog, Evidence, LargerKey, StoredCandle
from tests.chaos.versions import Values, values_of, versions

MINUTE_MS: Final = 60_000
#: Interval to its length in minutes.
LENGTHS: Final = {"5m": 5, "15m": 15, "30m": 30, "1h": 60, "4h": 240, "1d": 1440}
#: States from the least to the most sure; a ``rev`` begins with the place of its state.
RANKS: Final = ("partial", "open", "provisional", "final", "corrected")
_RANK_SHIFT: Final = 50
#: How many of the newest candles of each series the live side holds (``LIVE_WINDOW``).
LIVE_WINDOW: Final = 60
#: What we read so long after Redis lost its data had not been published before (seconds).
_LATE_SECONDS: Final = 1.0


def larger_candles_equal_their_minutes(evidence: Evidence) -> list[str]:
    """I9: the store holds each larger candle that its minutes make, none else, with their values, state and count.

    A candle is over when its own last minute is closed or a later minute is stored. Then it is ``provisional``, or
    ``final`` if each of its minutes is there and final, or ``corrected`` if one of these was corrected.
    """
    made = _from_minutes(evidence.stored)
    violations = [
        f"{larger_name(key)}: its minutes make {_shown(candle)}, stored is {_shown(evidence.larger.get(key))}"
        for key, candle in made.items()
        if not _same(candle, evidence.larger.get(key))
    ]
    return violations + [f"{larger_name(key)}: stored, has no minutes" for key in evidence.larger.keys() - made.keys()]


def _from_minutes(minutes: dict[CandleKey, StoredCandle]) -> dict[LargerKey, StoredCandle]:
    """Every larger candle that has a minute; their ``rev`` is left at 0."""
    newest: dict[tuple[str, str], int] = {}
    parts: dict[LargerKey, list[tuple[int, StoredCandle]]] = {}
    for (exchange, pair, open_time), candle in sorted(minutes.items()):
        newest[exchange, pair] = open_time
        for bucket in _buckets_of((exchange, pair, open_time)):
            parts.setdefault(bucket, []).append((open_time, candle))
    return {key: _made_of(key, held, newest[key[:2]]) for key, held in parts.items()}


def _buckets_of(minute: CandleKey) -> Iterator[LargerKey]:
    """The larger candles that a minute belongs to."""
    exchange, pair, open_time = minute
    for interval, length in LENGTHS.items():
        yield exchange, pair, interval, open_time - open_time % (length * MINUTE_MS)


def _made_of(key: LargerKey, minutes: Sequence[tuple[int, StoredCandle]], newest: int) -> StoredCandle:
    """The candle of these minutes, oldest first; ``newest`` is the newest open time of the pair's minutes."""
    candles = [candle for _, candle in minutes]
    opens, highs, lows, closes, volumes = zip(*(candle.values for candle in candles), strict=True)
    end = key[3] + LENGTHS[key[2]] * MINUTE_MS
    last_time, last = minutes[-1]
    is_over = newest >= end or (last_time == end - MINUTE_MS and RANKS.index(last.state) >= RANKS.index("provisional"))
    states = {candle.state for candle in candles}
    state = "open"
    if is_over:
        is_sure = len(candles) == LENGTHS[key[2]] and states <= {"final", "corrected"}
        state = ("corrected" if "corrected" in states else "final") if is_sure else "provisional"
    values = (opens[0], max(highs), min(lows), closes[-1], sum(volumes, Decimal(0)))
    return StoredCandle(0, state, values, len(candles))


def larger_candles_only_move_forward(evidence: Evidence) -> list[str]:
    """I10: whenever the store was looked at, no larger candle had a lower ``rev``, a less sure state or fewer minutes.

    Than at the look before, that is; nothing is compared across the restore of an older copy. The state is the one
    that its ``rev`` begins with.
    """
    violations = []
    for key, samples in evidence.larger_samples.items():
        for earlier, later in itertools.pairwise(samples):
            before, after = earlier.candle, later.candle
            goes_back = (
                after.rev < before.rev
                or RANKS.index(after.state) < RANKS.index(before.state)
                or after.minutes < before.minutes
            )
            if earlier.life == later.life and goes_back:
                violations.append(
                    f"{larger_name(key)}: goes back from {_shown(before)} rev {before.rev} "
                    f"to {_shown(after)} rev {after.rev}"
                )
                break
        violations += [
            f"{larger_name(key)}: is {each.candle.state}, which rev {each.candle.rev} does not say"
            for each in samples
            if each.candle.rev >> _RANK_SHIFT != RANKS.index(each.candle.state)
        ][:1]
    return violations


def live_side_equals_store(evidence: Evidence) -> list[str]:
    """I11: the live side holds the newest larger candles of each series, and each that it holds is the store's.

    If Redis lost its data, only those have to be there of which a minute changed afterwards. If it came back with an
    older copy, only those are asked for, and only those have to be right.
    """
    changed = _changed_since(evidence, evidence.redis_forgot_at + _LATE_SECONDS)
    violations = [
        f"{larger_name(key)}: the live side holds {_shown(held)}, stored is {_shown(evidence.larger.get(key))}"
        for key, held in evidence.live_larger.items()
        if not _same(held, evidence.larger.get(key)) and (key in changed or not evidence.redis_is_older)
    ]
    return violations + [
        f"{larger_name(key)}: the live side does not hold it"
        for key in _newest(evidence.larger, LIVE_WINDOW)
        if key not in evidence.live_larger and (key in changed or not evidence.redis_forgot_at)
    ]


def _changed_since(evidence: Evidence, moment: float) -> set[LargerKey]:
    """The larger candles of which a minute got other values, or came to be, in Kafka after a moment."""
    held: dict[CandleKey, tuple[int, Values]] = {}
    changed: set[LargerKey] = set()
    for version in versions(evidence):
        rev, values = held.get(version.key, (-1, ()))
        if version.rev > rev:
            held[version.key] = version.rev, version.values
            if version.values != values and version.record.at > moment:
                changed.update(_buckets_of(version.key))
    return changed


def _newest(candles: Iterable[LargerKey], count: int) -> Iterator[LargerKey]:
    """So many of the newest of each series."""
    for _, keys in itertools.groupby(sorted(candles), key=lambda key: key[:3]):
        yield from list(keys)[-count:]


def larger_clients_only_move_forward(evidence: Evidence) -> list[str]:
    """I12: on each connection the ``rev`` of every larger candle only rises, and the last is the store's newest.

    Asked of a client of the JSON protocol that follows some pairs all the time, and all of them at the end.
    """
    violations = []
    for begin, end in evidence.larger_client.connected:
        reached: dict[LargerKey, int] = {}
        for key, row in _told(evidence.larger_client, begin, end):
            if row["rev"] < reached.get(key, -1):
                violations.append(f"{larger_name(key)}: a client is led back from rev {reached[key]} to {row['rev']}")
                break
            reached[key] = row["rev"]
    return violations + list(_differs_at_the_end(evidence))


def _told(client: ClientLog, begin: float, end: float) -> Iterator[tuple[LargerKey, dict[str, Any]]]:
    """Each candle of each frame within a span of time."""
    for at, frame in client.frames:
        if begin <= at <= end:
            for row in frame["candles"] if frame["type"] == "snapshot" else [frame["candle"]]:
                yield (frame["exchange"], frame["pair"], frame["interval"], row["timestamp"]), row


def _differs_at_the_end(evidence: Evidence) -> Iterator[str]:
    client = evidence.larger_client
    if not client.connected or client.connected[-1][1] < evidence.ended_at:
        return
    last = dict(_told(client, *client.connected[-1]))
    for pair in client.pairs:
        mine = [key for key in evidence.larger if key[1:3] == (pair, client.interval)]
        if not mine:
            continue
        newest = max(mine)
        row, stored = last.get(newest), evidence.larger[newest]
        if row is None:
            yield f"{larger_name(newest)}: a client was not told of the newest candle"
        elif (row["state"], values_of(row)) != (stored.state, stored.values):
            yield f"{larger_name(newest)}: a client was last told {row['state']} {row}, stored is {_shown(stored)}"


def _same(one: StoredCandle, other: StoredCandle | None) -> bool:
    """Whether both say the same; a ``rev`` says only what is newer in one place."""
    return other is not None and (one.state, one.values, one.minutes) == (other.state, other.values, other.minutes)


def larger_name(key: LargerKey) -> str:
    """A larger candle as one word."""
    exchange, pair, interval, open_time = key
    return f"{exchange}|{pair}|{interval}@{open_time}"


def _shown(candle: StoredCandle | None) -> str:
    if candle is None:
        return "nothing"
    return f"{candle.state} {'/'.join(map(str, candle.values))} of {candle.minutes}"
