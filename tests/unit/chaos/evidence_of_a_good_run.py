"""Evidence of a run in which every guarantee held: one pair, five minutes, three updates each.

Made by hand, so that a test plants exactly one violation in it.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from ingest.candle import Candle, State
from ingest.codec import encode_candle
from tests.chaos.evidence import (
    CandleKey,
    ClientLog,
    CommitSample,
    Evidence,
    Published,
    Record,
    StoredCandle,
)
from tests.conftest import make_candle, minute

MINUTES: Final = 5
UPDATES: Final = 3
#: When the run began, in the harness's time; a minute of the market takes six seconds.
BEGAN_AT: Final = 1000.0
ENDED_AT: Final = 1100.0


def key_of(number: int) -> CandleKey:
    """The numbered minute's candle."""
    return "sim", "BTC-USD", minute(number)


def close_of(number: int, update: int) -> Decimal:
    """Each update has another close price."""
    return Decimal(f"18380.{number}{update}")


def version(number: int, update: int, state: State = State.OPEN) -> Candle:
    """The numbered minute after its numbered update."""
    late = 50_000_000 if state is State.FINAL else 0
    written_us = minute(number) * 1000 + update * 1_000_000 + late
    return make_candle(number, state=state, written_us=written_us, close=close_of(number, update))


def all_versions() -> list[Candle]:
    """What ingest writes: each update, and the final version when the successor comes; the last minute stays open."""
    found = []
    for number in range(MINUTES):
        found += [version(number, update) for update in range(UPDATES)]
        if number < MINUTES - 1:
            found.append(version(number, UPDATES - 1, State.FINAL))
    return found


def record(value: bytes, offset: int, *, topic: str = "candles", headers: dict[str, str] | None = None) -> Record:
    """A Kafka record of the one partition."""
    return Record(
        topic,
        "first",
        0,
        offset,
        b"sim|BTC-USD|1m",
        value,
        BEGAN_AT + offset,
        tuple((name, text.encode()) for name, text in (headers or {}).items()),
    )


def letter(value: bytes, offset: int) -> Record:
    """The dead letter of the record at an offset of `candles`."""
    headers = {"reason": "no candle", "topic": "candles", "partition": "0", "offset": str(offset)}
    return record(value, 0, topic="candles.dlq", headers=headers)


def line(candle: Candle) -> dict[str, Any]:
    """A candle as the line protocol shows it."""
    names = ("pair", "timestamp", "open", "high", "low", "close", "volume")
    return {name: getattr(candle, name) for name in names}


def frame(candle: Candle, seqnum: int) -> dict[str, Any]:
    """A candle as the simulated exchange sends it."""
    price = [candle.timestamp, *map(float, candle.values)]
    return {"seqnum": seqnum, "event": "updated", "channel": "prices", "symbol": candle.pair, "price": price}


def beat(until: int) -> dict[str, Any]:
    """A beat of the feed."""
    return {"v": 1, "exchange": "sim", "event": "beat", "feed": "live", "pairs": ["BTC-USD"], "until": until}


def write_log(path: Path, candles: list[Candle]) -> None:
    """Write what the exchange sent, as its own log does."""
    subscribed = {"seqnum": 0, "event": "subscribed", "channel": "prices", "symbol": "BTC-USD", "granularity": 60}
    write_frames(path, [subscribed, *(frame(candle, number) for number, candle in enumerate(candles, start=1))])


def write_frames(path: Path, frames: list[dict[str, Any]]) -> None:
    """Write frames of one connection."""
    with path.open("w") as log:
        for each in frames:
            entry = {"at": minute(MINUTES), "connection": 1, "exchange": "blockchain", "frame": each}
            log.write(json.dumps(entry) + "\n")


def good_evidence(folder: Path) -> Evidence:
    """Every guarantee held."""
    candles = all_versions()
    updates = [version(number, update) for number in range(MINUTES) for update in range(UPDATES)]
    write_log(folder / "sim.log", updates)
    newest = {(each.exchange, each.pair, each.timestamp): each for each in candles}
    shown = [(BEGAN_AT + number + 0.5, line(each)) for number, each in enumerate(candles) if each.state is State.OPEN]
    return Evidence(
        acknowledged=[
            *(record(encode_candle(each), offset) for offset, each in enumerate(candles)),
            record(b"no JSON", len(candles)),
        ],
        events=[beat(minute(1)), beat(minute(MINUTES))],
        dead_letters=[letter(b"no JSON", len(candles))],
        stored={key: StoredCandle(each.rev, each.state.value, each.values) for key, each in newest.items()},
        documents=len(newest),
        commits=[
            CommitSample(BEGAN_AT, "crypto-streams-persist", "candles", "first", 0, 4, 4),
            CommitSample(BEGAN_AT + 1, "crypto-streams-persist", "candles", "first", 0, 9, None),
        ],
        sim_log=folder / "sim.log",
        clients=[ClientLog("steady", ("BTC-USD",), [(BEGAN_AT, ENDED_AT)], shown)],
        memory={
            "bridge-persist": [(BEGAN_AT + second, 60_000_000 + second % 7) for second in range(100)],
            "bridge-fanout": [(BEGAN_AT + second, 0 if second == 50 else 60_000_000) for second in range(100)],
        },
        pages=[[line(version(number, 0)) for number in reversed(range(MINUTES))]],
        published=[
            Published(BEGAN_AT + number, "epoch", number, key, each.rev, each.values)
            for number, each in enumerate(candles)
            for key in [(each.exchange, each.pair, each.timestamp)]
        ],
        metrics={
            "bridge-persist:process_starts": 1,
            "bridge-fanout:process_starts": 2,
            'bridge-persist:bridge_dead_letters_total{bridge="persist"}': 1,
            'bridge-persist:bridge_redispatched_total{bridge="persist"}': 1,
            'workers-persist-1:jobs_total{actor="persist_candles",result="not_done"}': 1,
            'ws:ws_closed_total{reason="stalled"}': 2,
        },
        injected={"freeze:clients": 2},
        began_at=BEGAN_AT,
        ended_at=ENDED_AT,
    )


def with_record(evidence: Evidence, offset: int, **changes: Any) -> None:
    """Change one record of `candles`."""
    evidence.acknowledged[offset] = replace(evidence.acknowledged[offset], **changes)


Plant = Callable[[Evidence], None]
