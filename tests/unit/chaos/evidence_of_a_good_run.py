"""Evidence of a run in which every guarantee held: one pair, five minutes, three updates each.

Made by hand, so that a test plants exactly one violation in it.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from msgspec import structs

from ingest.candle import Candle, Interval, Series, State
from ingest.codec import encode_candle
from tests.chaos.evidence import (
    CandleKey,
    ClientLog,
    CommitSample,
    Evidence,
    LargerKey,
    LargerSample,
    Published,
    Record,
    StoredCandle,
)
from tests.chaos.versions import VALUE_NAMES
from tests.conftest import make_candle, minute
from workers.rollup import LEVELS, Bucket, bucket_of, is_over, roll_up

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


def larger_of(stored: dict[CandleKey, StoredCandle]) -> dict[LargerKey, StoredCandle]:
    """The larger candles of these minutes, as the real code makes them."""
    found: dict[LargerKey, StoredCandle] = {}
    for exchange, pair in {key[:2] for key in stored}:
        minutes = Series(exchange, pair, Interval.M1)
        below = [
            structs.replace(
                make_candle(state=State(each.state), rev=each.rev, **minutes._asdict(), timestamp=key[2]),
                **dict(zip(VALUE_NAMES, each.values, strict=True)),
            )
            for key, each in sorted(stored.items())
            if key[:2] == (exchange, pair)
        ]
        newest = below[-1].timestamp
        for interval in LEVELS:
            parts: dict[Bucket, list[Candle]] = {}
            for candle in below:
                parts.setdefault(bucket_of(minutes, interval, candle.timestamp), []).append(candle)
            made = [roll_up(each, held, is_over=is_over(each, held, newest)) for each, held in parts.items()]
            below = [each for each in made if each is not None]
            for each in below:
                key = (exchange, pair, interval.value, each.timestamp)
                found[key] = StoredCandle(each.rev, each.state.value, each.values, each.minutes)
    return found


def follow_minutes(evidence: Evidence) -> None:
    """Let the larger candles be what the stored minutes make."""
    held = len(evidence.larger)
    evidence.larger = larger_of(evidence.stored)
    evidence.live_larger = dict(evidence.larger)
    evidence.documents += len(evidence.larger) - held


def larger_frames(larger: dict[LargerKey, StoredCandle], client: ClientLog) -> list[dict[str, Any]]:
    """What a client is told of the larger candles that it follows: the older ones at first, then the newest."""
    rows: list[dict[str, Any]] = [
        {"timestamp": key[3], "state": each.state, "rev": each.rev} | dict(zip(VALUE_NAMES, each.values, strict=True))
        for key, each in sorted(larger.items())
        if key[2] == client.interval
    ]
    names = {"exchange": "sim", "pair": "BTC-USD", "interval": client.interval}
    newest = rows[-1] | {"rev": rows[-1]["rev"] - 1, "close": Decimal(1)}
    return [
        {"type": "snapshot", **names, "candles": [*rows[:-1], newest]},
        {"type": "candle", **names, "candle": rows[-1]},
    ]


def good_evidence(folder: Path) -> Evidence:
    """Every guarantee held."""
    candles = all_versions()
    updates = [version(number, update) for number in range(MINUTES) for update in range(UPDATES)]
    write_log(folder / "sim.log", updates)
    newest = {(each.exchange, each.pair, each.timestamp): each for each in candles}
    shown = [(BEGAN_AT + number + 0.5, line(each)) for number, each in enumerate(candles) if each.state is State.OPEN]
    stored = {key: StoredCandle(each.rev, each.state.value, each.values) for key, each in newest.items()}
    larger = larger_of(stored)
    larger_client = ClientLog("larger", ("BTC-USD",), [(BEGAN_AT, ENDED_AT)], interval="5m")
    larger_client.frames = [(BEGAN_AT + 1, each) for each in larger_frames(larger, larger_client)]
    return Evidence(
        acknowledged=[
            *(record(encode_candle(each), offset) for offset, each in enumerate(candles)),
            record(b"no JSON", len(candles)),
        ],
        events=[beat(minute(1)), beat(minute(MINUTES))],
        dead_letters=[letter(b"no JSON", len(candles))],
        stored=stored,
        larger=larger,
        documents=len(stored) + len(larger),
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
        larger_samples={
            key: [
                LargerSample(BEGAN_AT, 0, replace(each, rev=each.rev - 1)),
                LargerSample(BEGAN_AT + 1, 0, each),
            ]
            for key, each in larger.items()
        },
        live_larger=dict(larger),
        larger_client=larger_client,
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
