"""``python -m ingest`` as processes, on a real Kafka and the simulated exchange."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from ingest.candle import Candle, State
from ingest.events import EventKind, FeedEvent, FeedState
from ingest.revision import time_us_of
from ingest.simulator.clock import MarketClock
from tests.integration.kafka_log import candles_of, empty_topics, events_of, wait_until
from tests.ports import free_port

PAIRS = ("BTC-USD", "ETH-USD")
STOP_SECONDS = 15

Values = tuple[Decimal, ...]


@dataclass
class Processes:
    """A simulated exchange, and ingest processes that follow it, each started when a test says so."""

    directory: Path
    environment: dict[str, str]
    running: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *arguments: str, **changes: str) -> subprocess.Popen[str]:
        with (self.directory / f"{arguments[0]}-{len(self.running)}.log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "ingest", *arguments],
                cwd=self.directory,
                env=self.environment | changes,
                stderr=log,
                text=True,
            )
        self.running.append(process)
        return process

    def simulate(self) -> subprocess.Popen[str]:
        process = self.start("simulate")
        wait_until("the simulator serves", lambda: answers(f"http://127.0.0.1:{self.environment['SIM_PORT']}/livez"))
        return process

    def metric(self, line: str) -> float:
        """The value of one sample of the ingest process; 0 while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.environment['HEALTH_PORT']}/metrics") as response:
                lines = response.read().decode().splitlines()
        except OSError:
            return 0.0
        return next((float(each.rsplit(" ", 1)[1]) for each in lines if each.startswith(line)), 0.0)

    def frames(self) -> dict[tuple[str, int], list[tuple[int, Values]]]:
        """The candle frames that the exchange sent, by candle, in order, each with the exchange's time."""
        begun = json.loads((self.directory / "simulator.json").read_bytes())
        market = MarketClock(begun["wall_ms"], begun["market_ms"], Decimal(self.environment["SIM_SPEED"]))
        found: dict[tuple[str, int], list[tuple[int, Values]]] = defaultdict(list)
        decoder = msgspec.json.Decoder(FrameLine)
        for line in map(decoder.decode, (self.directory / "frames.log").read_bytes().splitlines()):
            frame = line.frame
            if frame.channel == "prices" and frame.event == "updated" and frame.price is not None:
                open_time, *values = frame.price
                found[frame.symbol, int(open_time)].append((market.market_at(line.at), tuple(values)))
        return found

    def log_of(self, name: str) -> str:
        return "".join(path.read_text() for path in sorted(self.directory.glob(f"{name}-*.log")))


class Frame(msgspec.Struct):
    channel: str = ""
    event: str = ""
    symbol: str = ""
    price: list[Decimal] | None = None


class FrameLine(msgspec.Struct):
    at: int
    frame: Frame


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as response:
            return bool(response.status == 200)
    except OSError:
        return False


@pytest.fixture
def processes(kafka_brokers: str, tmp_path: Path) -> Iterator[Processes]:
    empty_topics(kafka_brokers)
    settings = {
        "KAFKA_BROKERS": kafka_brokers,
        "EXCHANGE": "sim",
        "PAIRS": ",".join(PAIRS),
        "SIM_PORT": str(free_port()),
        "HEALTH_PORT": str(free_port()),
        # Fast, and never caught up: three hours pass in three minutes.
        "SIM_START": "-10h",
        "SIM_SPEED": "60",
        "SIM_UPDATES": "60",
        "SIM_LOG": str(tmp_path / "frames.log"),
        "SIM_STATE": str(tmp_path / "simulator.json"),
        "LOG_FORMAT": "json",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    started = Processes(tmp_path, {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")} | settings)
    yield started
    for process in started.running:
        if process.poll() is None:
            process.kill()
            process.wait()


def stop(process: subprocess.Popen[str]) -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(STOP_SECONDS)


@dataclass
class Account:
    """What became of the frames that an exchange sent."""

    stored: int = 0
    in_gaps: int = 0
    unaccounted: list[tuple[str, int, Values]] = field(default_factory=list)


def account(
    frames: dict[tuple[str, int], list[tuple[int, Values]]], candles: list[Candle], events: list[FeedEvent]
) -> Account:
    """Look for each frame in Kafka, superseded there by a later one of its candle, or else in a gap.

    The last beat says up to where the last process saw; what came after is the gap that the next one will tell.
    """
    gaps = [event for event in events if event.event is EventKind.GAP]
    until = events[-1].until
    assert until is not None
    stored: dict[tuple[str, int], set[Values]] = defaultdict(set)
    for candle in candles:
        stored[candle.pair, candle.timestamp].add(candle.values)
    result = Account()
    for (pair, open_time), sent in frames.items():
        newest = max((index for index, (_, values) in enumerate(sent) if values in stored[pair, open_time]), default=-1)
        for index, (at, values) in enumerate(sent):
            if index <= newest:
                result.stored += 1
            elif at >= until or any(
                pair in gap.pairs and (gap.gap_from or 0) <= at < (gap.gap_to or 0) for gap in gaps
            ):
                result.in_gaps += 1
            else:
                result.unaccounted.append((pair, at, values))
    return result


def test_every_frame_is_in_kafka_superseded_or_in_a_gap_whenever_ingest_is_killed(
    kafka_brokers: str, processes: Processes
) -> None:
    processes.simulate()
    whims = random.Random(7)
    for round_ in range(6):
        ingest = processes.start("run")
        wait_until("frames come", lambda: processes.metric('frames_received_total{exchange="sim"}') > 50)
        if round_ == 3:
            # Once with a gap that was told; the other times the next process has to derive it again.
            wait_until("a gap was told", lambda: processes.metric('feed_gaps_total{exchange="sim"}') == 1)
        time.sleep(whims.uniform(0, 1.5))  # any moment will do: that is the point
        ingest.kill()
        ingest.wait()
    last = processes.start("run")
    wait_until("a gap was told", lambda: processes.metric('feed_gaps_total{exchange="sim"}') == 1)
    wait_until("it is in Kafka", lambda: processes.metric("producer_outstanding_records") == 0)
    status = stop(last)

    events = events_of(kafka_brokers, "sim")
    result = account(processes.frames(), candles_of(kafka_brokers, "sim"), events)

    assert status == 0
    assert result.unaccounted == []
    assert len([event for event in events if event.event is EventKind.GAP]) == 2
    # What the gaps cover was really not seen, so the check above means something.
    assert 0 < result.in_gaps < result.stored / 10


def test_a_candle_moves_forward_over_restarts(kafka_brokers: str, processes: Processes) -> None:
    processes.simulate()
    for _ in range(3):
        ingest = processes.start("run")
        wait_until("frames come", lambda: processes.metric('frames_received_total{exchange="sim"}') > 100)
        ingest.kill()
        ingest.wait()

    candles = candles_of(kafka_brokers, "sim")

    versions: dict[tuple[str, int], list[Candle]] = defaultdict(list)
    for candle in candles:
        versions[candle.pair, candle.timestamp].append(candle)
    backwards = {
        key: each
        for key, each in versions.items()
        if [one.rev for one in each] != sorted({one.rev for one in each})
        or [one.state.rank for one in each] != sorted(one.state.rank for one in each)
    }
    newest_open_time = {pair: max(open_time for name, open_time in versions if name == pair) for pair in PAIRS}
    left_open = [key for key, each in versions.items() if each[-1].state is State.OPEN]
    assert backwards == {}
    assert len({time_us_of(candle.rev) for candle in candles}) == len(candles)
    assert set(left_open) <= {(pair, newest_open_time[pair]) for pair in PAIRS}


def test_stops_cleanly_and_says_up_to_where_everything_is_in_kafka(kafka_brokers: str, processes: Processes) -> None:
    processes.simulate()
    ingest = processes.start("run")
    wait_until("frames come", lambda: processes.metric('frames_received_total{exchange="sim"}') > 300)

    status = stop(ingest)

    events = events_of(kafka_brokers, "sim")
    last = events[-1]
    newest = max(candle.timestamp for candle in candles_of(kafka_brokers, "sim"))
    assert (status, last.event, last.feed, last.pairs) == (0, EventKind.BEAT, FeedState.DOWN, PAIRS)
    assert last.until is not None
    assert last.until >= newest
    assert account(processes.frames(), candles_of(kafka_brokers, "sim"), events).unaccounted == []


def test_candles_flow_again_within_five_seconds_of_a_kill(kafka_brokers: str, processes: Processes) -> None:
    processes.simulate()
    first = processes.start("run")
    wait_until("frames come", lambda: processes.metric('frames_received_total{exchange="sim"}') > 50)
    first.kill()
    first.wait()
    killed_at = time.monotonic()

    processes.start("run")
    wait_until(
        "a candle was produced", lambda: processes.metric('candles_produced_total{exchange="sim",state="open"}') > 0
    )

    assert time.monotonic() - killed_at < 5


def test_follows_several_exchanges_in_one_process(kafka_brokers: str, processes: Processes) -> None:
    processes.simulate()
    ingest = processes.start("run", EXCHANGE="sim,simkraken")
    for exchange in ("sim", "simkraken"):
        line = f'candles_produced_total{{exchange="{exchange}",state="final"}}'
        wait_until(f"{exchange} closed candles", lambda line=line: processes.metric(line) >= 4)  # type: ignore[misc]

    status = stop(ingest)

    by_exchange = {
        exchange: {
            (candle.pair, candle.timestamp): candle.values
            for candle in candles_of(kafka_brokers, exchange)
            if candle.state is State.FINAL
        }
        for exchange in ("sim", "simkraken")
    }
    both = by_exchange["sim"].keys() & by_exchange["simkraken"].keys()
    assert status == 0
    assert len(both) >= 4
    assert {key: by_exchange["sim"][key] for key in both} == {key: by_exchange["simkraken"][key] for key in both}


def test_waits_for_kafka_and_stops_while_waiting(processes: Processes) -> None:
    ingest = processes.start("run", KAFKA_BROKERS="127.0.0.1:9")
    wait_until("it says so", lambda: "waiting for kafka" in processes.log_of("run"))

    status = stop(ingest)

    assert status == 0


def test_serves_health_and_metrics(processes: Processes) -> None:
    ingest = processes.start("run")

    wait_until("it is alive", lambda: answers(f"http://127.0.0.1:{processes.environment['HEALTH_PORT']}/livez"))
    wait_until("it is down", lambda: processes.metric('feed_state{exchange="sim",state="down"}') == 1)

    assert stop(ingest) == 0


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("PAIRS", "btcusd", "PAIRS="),
        ("EXCHANGE", "nowhere", "EXCHANGE='nowhere': expected one of"),
        ("KAFKA_BROKERS", "localhost", "KAFKA_BROKERS='localhost': expected host:port, comma-separated"),
    ],
)
def test_a_bad_setting_stops_the_start_in_one_line(
    processes: Processes, variable: str, value: str, sentence: str
) -> None:
    outcomes = [processes.start(command, **{variable: value}).wait(STOP_SECONDS) for command in ("run", "check-config")]

    lines = [processes.log_of(command).splitlines() for command in ("run", "check-config")]

    assert outcomes == [2, 2]
    assert [(len(each), each[0].startswith(sentence)) for each in lines] == [(1, True)] * 2


def test_a_port_in_use_is_named(processes: Processes) -> None:
    with socket.create_server(("127.0.0.1", int(processes.environment["HEALTH_PORT"]))):
        status = processes.start("run").wait(STOP_SECONDS)

    assert (status, "HEALTH_PORT" in processes.log_of("run")) == (2, True)


def test_check_config_prints_what_would_be_followed(processes: Processes) -> None:
    outcome = subprocess.run(
        [sys.executable, "-m", "ingest", "check-config"],
        env=processes.environment | {"EXCHANGE": "kraken", "PAIRS_KRAKEN": "BTC-USD"},
        cwd=processes.directory,
        capture_output=True,
        text=True,
        check=True,
    )

    assert outcome.stdout.splitlines()[-1] == "# kraken: wss://ws.kraken.com/v2 pairs BTC-USD"


def test_says_each_change_of_state_once(processes: Processes) -> None:
    processes.simulate()
    ingest = processes.start("run")
    wait_until("frames come", lambda: processes.metric('frames_received_total{exchange="sim"}') > 50)

    stop(ingest)

    lines = [json.loads(line) for line in processes.log_of("run").splitlines()]
    told = [line["event"] for line in lines if line.get("exchange") == "sim"]
    assert told == ["connected", "feed is live", "disconnected"]
