"""What one run under faults left behind: everything that the checkers may look at, and nothing that they may touch.

Times are Unix seconds of the harness's own clock, which no fault shifts. A checker is a function from `Evidence` to a
list of violations, each one sentence; an empty list means that the guarantee held.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

#: (exchange, pair, open time in ms); everything is followed in one-minute candles.
CandleKey = tuple[str, str, int]
#: (exchange, pair, interval, open time in ms) of a candle that is computed from minutes.
LargerKey = tuple[str, str, str, int]


@dataclass(frozen=True)
class Record:
    """One Kafka record as the harness's own consumer read it."""

    topic: str
    #: The topic's id: a topic that was deleted and made anew counts its offsets from 0 again under another one.
    incarnation: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    at: float
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True)
class StoredCandle:
    """One candle as the store or the live side holds it."""

    rev: int
    state: str
    #: open, high, low, close, volume.
    values: tuple[Decimal, ...]
    #: Of how many minutes it is made.
    minutes: int = 1


@dataclass(frozen=True)
class LargerSample:
    """A larger candle as the store held it when it was looked at.

    ``life`` counts how often the store had been replaced by an older copy by then.
    """

    at: float
    life: int
    candle: StoredCandle


@dataclass(frozen=True)
class CommitSample:
    """A group's commit at one moment, and how far everything below had really taken effect just before.

    ``first_unapplied`` is the lowest offset whose row had no effect in the store then; None where that was not looked
    at (the store did not answer, or the group is not the one that persists).
    """

    at: float
    group: str
    topic: str
    incarnation: str
    partition: int
    committed: int
    first_unapplied: int | None


@dataclass
class ClientLog:
    """What one WebSocket client saw."""

    name: str
    #: Its subscriptions, pairs of the default exchange.
    pairs: tuple[str, ...] = ()
    #: Spans of time in which it was connected and subscribed; the last one may reach to the end of the run.
    connected: list[tuple[float, float]] = field(default_factory=list)
    frames: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    interval: str = "1m"


@dataclass(frozen=True)
class Published:
    """One message of the live side, as the harness's own subscriber heard it.

    ``number`` counts the changes of a series within one ``epoch``: numbers without a hole mean that nothing was missed.
    """

    at: float
    epoch: str
    number: int
    key: CandleKey
    rev: int
    #: open, high, low, close, volume.
    values: tuple[Decimal, ...]


@dataclass
class Evidence:
    """One run, after everything came to rest."""

    #: Every record of `candles` that the harness ever read: acknowledged by Kafka, poison of the harness's included.
    acknowledged: list[Record]
    #: Every feed event, in order.
    events: list[dict[str, Any]]
    #: Every record of `candles.dlq`, with its headers.
    dead_letters: list[Record]
    #: The store, by candle, and how many documents it has in all: more than candles would be twins.
    stored: dict[CandleKey, StoredCandle]
    larger: dict[LargerKey, StoredCandle]
    documents: int
    commits: list[CommitSample]
    #: The simulated exchange's own log of every frame that it sent.
    sim_log: Path
    clients: list[ClientLog] = field(default_factory=list)
    #: What the live side published of minutes, in order.
    published: list[Published] = field(default_factory=list)
    #: Each change of a larger candle in the store that was seen, in order.
    larger_samples: dict[LargerKey, list[LargerSample]] = field(default_factory=dict)
    #: The larger candles that the live side holds.
    live_larger: dict[LargerKey, StoredCandle] = field(default_factory=dict)
    #: What a client of the JSON protocol was told of larger candles: candles and snapshots.
    larger_client: ClientLog = field(default_factory=lambda: ClientLog("larger"))
    #: Program to (time, resident bytes of all its processes; 0 between two lives).
    memory: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    #: REST pages that were read while writes went on, rows as served.
    pages: list[list[dict[str, Any]]] = field(default_factory=list)
    #: Metrics at the end, summed over all lives of each process: ``program:name{label="value"}`` to its value.
    metrics: dict[str, float] = field(default_factory=dict)
    #: What the harness did, by kind: ``kill:bridge-persist`` to how often.
    injected: dict[str, int] = field(default_factory=dict)
    #: Whether the store was replaced by an older copy, or the topic made anew, during the run.
    restored: bool = False
    recreated: bool = False
    #: When Redis last lost what it held, 0 if never, and whether it came back with an older copy then.
    redis_forgot_at: float = 0.0
    redis_is_older: bool = False
    #: When the run began and ended.
    began_at: float = 0.0
    ended_at: float = 0.0


Checker = Callable[[Evidence], list[str]]
