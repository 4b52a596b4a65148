"""A day of minutes in any order, through the real pipeline, with a worker killed on the way: every larger candle."""

import random
import secrets
import signal
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import psutil

from ingest.candle import Candle, Interval, State
from ingest.codec import encode_candle
from ingest.revision import rank_of
from tests.conftest import make_candle
from tests.integration.bridge_bench import BridgeBench, fold, wait_until
from tests.integration.programs import Programs, workers_command
from tests.ports import free_port
from workers.broker import make_broker
from workers.policies import PERSIST, ROLLUP
from workers.rollup import LEVELS

DAY_MS = 1_606_176_000_000  # 2020-11-24T00:00Z
MINUTE_MS = 60_000
PAIRS = [f"P{number}-USD" for number in range(10)]
PARTITIONS = 2
CORRECTIONS = 200
LATE_FINALS = 300
DUPLICATES = 500
#: Minutes without a trade: nothing that holds one is ever final.
MISSING = 60
CLOSED = (State.FINAL, State.CORRECTED)


class Larger(NamedTuple):
    """What is said of a larger candle."""

    values: tuple[Decimal, ...]
    state: State
    minutes: int


Place = tuple[str, str, int]


def version(dice: random.Random, pair: str, number: int, state: State, age: int) -> Candle:
    """A version of the numbered minute of the day; a higher ``age`` was written later."""
    low, open_, close, high = sorted(Decimal(dice.randrange(10_000_000, 20_000_000)) / 1000 for _ in range(4))
    if dice.random() < 0.5:
        open_, close = close, open_
    values: dict[str, Any] = {"open": open_, "high": high, "low": low, "close": close}
    opens = DAY_MS + number * MINUTE_MS
    return make_candle(
        pair=pair,
        timestamp=opens,
        state=state,
        written_us=(opens + age * MINUTE_MS) * 1000,
        volume=Decimal(dice.randrange(10**12)) / 10**8,
        **values,
    )


def records_of_a_day(dice: random.Random) -> list[Candle]:
    """Every version of every minute, some of them twice, in any order."""
    minutes = [(pair, number) for pair in PAIRS for number in range(1440)]
    dice.shuffle(minutes)
    minutes = minutes[MISSING:]
    late, corrected = minutes[:LATE_FINALS], minutes[LATE_FINALS : LATE_FINALS + CORRECTIONS]
    never_final = minutes[-40:]
    found = [
        version(dice, pair, number, State.PROVISIONAL if (pair, number) in {*late, *never_final} else State.FINAL, 1)
        for pair, number in minutes
    ]
    found += [version(dice, pair, number, State.OPEN, 0) for pair, number in dice.sample(minutes, 500)]
    found += [version(dice, pair, number, State.FINAL, 2) for pair, number in late]
    found += [version(dice, pair, number, State.CORRECTED, 3) for pair, number in corrected]
    found += dice.sample(found, DUPLICATES)
    dice.shuffle(found)
    return found


def plainly(minutes: Sequence[Candle]) -> dict[Place, Larger]:
    """Every larger candle of these minutes, each once, by pair, interval and open time."""
    found: dict[Place, Larger] = {}
    for pair in PAIRS:
        mine = sorted((each for each in minutes if each.pair == pair), key=lambda each: each.timestamp)
        for interval in LEVELS:
            for opens in range(DAY_MS, DAY_MS + 86_400_000, interval.milliseconds):
                some = [each for each in mine if opens <= each.timestamp < opens + interval.milliseconds]
                if some:
                    is_last = mine[-1].timestamp < opens + interval.milliseconds
                    found[pair, interval.value, opens] = one_plainly(some, interval, is_last)
    return found


def one_plainly(minutes: Sequence[Candle], interval: Interval, is_last: bool) -> Larger:
    states = {each.state for each in minutes}
    ends_closed = len(minutes) and minutes[-1].timestamp % interval.milliseconds == interval.milliseconds - MINUTE_MS
    if is_last and not (ends_closed and minutes[-1].state is not State.OPEN):
        state = State.OPEN
    elif len(minutes) < interval.minutes or not states <= set(CLOSED):
        state = State.PROVISIONAL
    else:
        state = State.CORRECTED if State.CORRECTED in states else State.FINAL
    high, low = max(each.high for each in minutes), min(each.low for each in minutes)
    volume = sum((each.volume for each in minutes), Decimal(0))
    return Larger((minutes[0].open, high, low, minutes[-1].close, volume), state, len(minutes))


def stored(bench: BridgeBench) -> dict[Place, dict[str, Any]]:
    """Every document of a larger candle."""
    documents = bench.mongo[bench.database].candles.find({"interval": {"$ne": "1m"}})
    return {(each["pair"], each["interval"], each["timestamp"]): each for each in documents}


def said(documents: Mapping[Place, Mapping[str, Any]]) -> dict[Place, Larger]:
    names = ("open", "high", "low", "close", "volume")
    return {
        place: Larger(tuple(each[name].to_decimal() for name in names), State(each["state"]), each["minutes"])
        for place, each in documents.items()
    }


def test_a_day_in_any_order_with_a_killed_worker_gives_exactly_its_larger_candles(
    bench: BridgeBench, programs: Programs, program_environment: dict[str, str]
) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    records = records_of_a_day(random.Random(seed))
    newest = list(fold(records).values())
    # As in the real topic, a pair lies in one partition.
    parts = [[each for each in records if PAIRS.index(each.pair) % PARTITIONS == part] for part in range(PARTITIONS)]
    groups = {name: f"{bench.group}-{name}" for name in ("persist", "rollup")}

    def feed(in_order: bool) -> None:
        for part, some in enumerate(parts):
            ordered = sorted(some, key=lambda each: (each.timestamp, each.rev)) if in_order else some
            bench.produce([encode_candle(each) for each in ordered], partition=part)

    def is_done(times: int) -> bool:
        ends = [times * len(part) for part in parts]
        return all(bench.committed(group=group) == ends for group in groups.values())

    feed(in_order=False)
    programs.start(*workers_command("persist"))
    doomed = programs.start(*workers_command("rollup"), HEALTH_PORT=str(free_port()))
    programs.start(*workers_command("rollup"), HEALTH_PORT=str(free_port()))
    for base in (PERSIST, ROLLUP):
        broker = make_broker(program_environment["REDIS_URL"], retries=1)
        bench.start_bridge(base, lease_seconds=5.0, broker=broker, group=groups[base.name])
    (child,) = psutil.Process(doomed.pid).children()
    wait_until(lambda: len(stored(bench)) > 500, "the first larger candles")
    child.send_signal(signal.SIGKILL)
    assert sum(bench.committed(group=groups["rollup"])) < len(records), "everything was done before the kill"
    doomed.wait(15)
    wait_until(lambda: is_done(1), "all minutes are rolled up", 120)

    documents = stored(bench)
    assert said(documents) == plainly(newest)
    assert {place: rank_of(each["rev"]) for place, each in documents.items()} == {
        place: State(each["state"]).rank for place, each in documents.items()
    }
    assert {key: each for key, each in bench.stored().items() if each.interval is Interval.M1} == fold(records)

    feed(in_order=True)
    wait_until(lambda: is_done(2), "all minutes are rolled up again", 120)

    assert stored(bench) == documents
