"""Clients of the JSON protocol that check what they are told: those that stay, and those that come and go.

What each holds is the highest `rev` per pair and open time, as a user's program would. `Seen` is what all of them
together have heard, and so what none of them may miss.
"""

import asyncio
import time
from array import array
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from ingest.revision import rank_of, time_us_of
from tests.benchmarks.wire import Wire

#: A version that others heard so long ago, a client has, or it was lost (seconds).
GRACE_SECONDS: Final = 1.0
#: From here on a candle does not change any more, or only to be corrected.
FINAL_RANK: Final = 3
#: From a command to its last answer (seconds).
_ANSWER_SECONDS: Final = 10.0
#: A place in a stream that the server cannot know.
_UNKNOWN_PLACE: Final = "another-run:1"


class _Candle(msgspec.Struct, gc=False):
    timestamp: int
    rev: int


class Range(msgspec.Struct):
    """Open times that a client was told to fetch, both ends inclusive, Unix milliseconds."""

    from_: int = msgspec.field(name="from")
    to: int


class _Result(msgspec.Struct):
    pair: str
    cursor: str | None
    recovered: bool
    fetch: Range | None = None


class _Frame(msgspec.Struct, gc=False):
    type: str = ""
    pair: str = ""
    cursor: str | None = None
    candle: _Candle | None = None
    candles: list[_Candle] = []
    result: _Result | None = None
    from_: int = msgspec.field(name="from", default=0)
    to: int = 0
    error: msgspec.Raw | None = None


_decoder = msgspec.json.Decoder(_Frame)


@dataclass
class Seen:
    """What all clients share."""

    #: By pair and open time: the newest version that anybody heard, and when (Unix seconds).
    newest: dict[str, dict[int, tuple[int, float]]] = field(default_factory=lambda: defaultdict(dict))
    #: How long updates took, µs, by kind of client and the second in which they came.
    delays: dict[str, dict[int, "array[int]"]] = field(default_factory=lambda: defaultdict(dict))
    #: From a command to the last of its answers, ms.
    answered_ms: list[float] = field(default_factory=list)
    #: What must not happen, in words.
    broken: list[str] = field(default_factory=list)
    resumed: int = 0
    told_otherwise: int = 0
    #: Finals that came with a resumption rather than live.
    finals_resumed: int = 0
    gaps: int = 0

    def note(self, pair: str, candle: _Candle, now: float) -> None:
        """Somebody heard of this version."""
        versions = self.newest[pair]
        known = versions.get(candle.timestamp)
        if known is None or known[0] < candle.rev:
            versions[candle.timestamp] = candle.rev, now

    def delay(self, kind: str, rev: int, now: float) -> None:
        """Somebody heard of a version as it was made."""
        seconds = self.delays[kind]
        second = int(now)
        if second not in seconds:
            seconds[second] = array("q")
        seconds[second].append(int(now * 1e6) - time_us_of(rev))


@dataclass
class Holding:
    """What one client has, over all its connections."""

    kind: str
    pairs: Sequence[str]
    #: Since when everything must have come, and until when it has been asked for, Unix seconds.
    since: float = 0.0
    until: float = 0.0
    revs: dict[str, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))
    cursors: dict[str, str] = field(default_factory=dict)
    #: By pair: what it was told to fetch.
    ranges: dict[str, list[Range]] = field(default_factory=lambda: defaultdict(list))

    def lacks(self, seen: Seen, now: float) -> list[str]:
        """Versions that others heard a while ago, that this one has not, and was not told to fetch either."""
        return [
            f"{pair} at {timestamp}"
            for pair in self.pairs
            for timestamp, (rev, heard_at) in seen.newest[pair].items()
            if self.since < heard_at < now - GRACE_SECONDS
            and self.revs[pair].get(timestamp, -1) < rev
            and not self.is_told(pair, timestamp)
        ]

    def is_told(self, pair: str, timestamp: int) -> bool:
        """Whether the client was told to fetch this candle."""
        return any(each.from_ <= timestamp <= each.to for each in self.ranges[pair])

    def lose_place(self) -> None:
        """Forget all candles, and remember places in a stream that there is not any more."""
        self.revs.clear()
        self.ranges.clear()
        self.cursors = dict.fromkeys(self.pairs, _UNKNOWN_PLACE)


class Member(Wire):
    """One connection of a client."""

    def __init__(self, seen: Seen, holding: Holding) -> None:
        super().__init__()
        self._seen, self._holding = seen, holding
        self._unanswered = set(holding.pairs)
        self._answered: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        #: When everything was answered, Unix seconds; what was written before came with the answers.
        self._live_since = float("inf")

    async def follow(self) -> None:
        """Subscribe to everything, from where the client got to, and return once that is answered.

        Raises:
            TimeoutError: If it is not within ten seconds.
        """
        holding, asked = self._holding, time.monotonic()
        params = {"channel": "candles", "pairs": holding.pairs, "cursors": holding.cursors}
        self.send(msgspec.json.encode({"id": 1, "method": "subscribe", "params": params}))
        async with asyncio.timeout(_ANSWER_SECONDS):
            self._live_since = await self._answered
        self._seen.answered_ms.append((time.monotonic() - asked) * 1000)
        holding.since = holding.since or self._live_since

    def take(self, text: bytes, now: float) -> None:
        """Hold what it says, and check that it may say so."""
        frame = _decoder.decode(text)
        candle, pair = frame.candle, frame.pair
        if candle is None:
            self._take_other(frame, now)
            return
        held = self._holding.revs[pair]
        rev = candle.rev
        if held.get(candle.timestamp, -1) > rev:
            self._seen.broken.append(f"{pair} at {candle.timestamp} went back")
        held[candle.timestamp] = rev
        if frame.cursor is not None:
            self._holding.cursors[pair] = frame.cursor
        self._seen.note(pair, candle, now)
        if time_us_of(rev) > self._live_since * 1e6:
            self._seen.delay(self._holding.kind, rev, now)
        elif rank_of(rev) >= FINAL_RANK:
            self._seen.finals_resumed += 1

    def lost(self) -> None:
        """A client that reads is never cut off."""
        self._seen.broken.append(f"a client that reads lost its connection ({self._holding.kind})")
        if not self._answered.done():
            self._answered.set_exception(ConnectionError("the server hung up"))

    def _take_other(self, frame: _Frame, now: float) -> None:
        if frame.result is not None:
            self._take_answer(frame.result, now)
        elif frame.type == "snapshot":
            held = self._holding.revs[frame.pair]
            for candle in frame.candles:
                held[candle.timestamp] = max(candle.rev, held.get(candle.timestamp, -1))
        elif frame.type == "gap":
            self._seen.gaps += 1
            self._holding.ranges[frame.pair].append(Range(frame.from_, frame.to))
        elif frame.type != "status":
            self._seen.broken.append(f"an unexpected frame: {msgspec.json.encode(frame).decode()}")

    def _take_answer(self, result: _Result, now: float) -> None:
        holding, pair = self._holding, result.pair
        if pair in holding.cursors:
            self._seen.resumed += result.recovered
            self._seen.told_otherwise += not result.recovered
            is_unknown = holding.cursors[pair] == _UNKNOWN_PLACE
            if result.recovered is is_unknown:
                self._seen.broken.append(f"recovered is {result.recovered} after {holding.cursors[pair]}")
        if result.fetch is not None:
            holding.ranges[pair].append(result.fetch)
        if result.cursor is not None:
            holding.cursors[pair] = result.cursor
        self._unanswered.discard(pair)
        if not self._unanswered and not self._answered.done():
            self._answered.set_result(now)
