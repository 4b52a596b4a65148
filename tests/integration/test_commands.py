"""`python -m workers verify | dlq | lag` as processes on real services: exit statuses, JSON lines, tables."""

import base64
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence

import pytest
from bson import Decimal128
from confluent_kafka import Producer
from prometheus_client import CollectorRegistry, Gauge
from pymongo import MongoClient

from ingest.candle import Candle, State
from ingest.codec import encode_candle
from ingest.health import Progress, serve_health
from ingest.kafka import client_config
from ingest.topics import CANDLES, DEAD_LETTERS
from tests.conftest import make_candle
from tests.integration.commands import ROOT, run, run_on_terminal
from tests.integration.kafka_log import empty_topics, read_topic
from workers.dead_letters import DeadLetters
from workers.documents import Document, document_id, series_hash
from workers.policies import POLICIES
from workers.store import CandleStore
from workers.watermark import Letter

#: Colours; bold and the moves of a progress bar are no colours.
_COLOUR = re.compile(r"\x1b\[(?:[0-9]+;)*(?:3[0-7]|9[0-7]|38)[;0-9]*m")


@pytest.fixture
def environment(kafka_brokers: str, redis_url: str, mongo_uri: str, database: str) -> dict[str, str]:
    """Settings of a process; the topics hold nothing."""
    empty_topics(kafka_brokers)
    services = {"KAFKA_BROKERS": kafka_brokers, "REDIS_URL": redis_url, "MONGO_URI": mongo_uri, "MONGO_DB": database}
    return {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "HEALTH_PORT")} | services


@pytest.fixture
def store(mongo_uri: str, database: str) -> Iterator[CandleStore]:
    """The store that the commands look at."""
    with MongoClient[Document](mongo_uri) as client:
        yield CandleStore(client, database, "candles")


def produce(environment: dict[str, str], *values: Candle | bytes) -> int:
    """Produce to partition 3 of the candles; returns the offset of the first."""
    offsets: list[int] = []
    producer = Producer(client_config(environment["KAFKA_BROKERS"]))
    for value in values:
        producer.produce(
            CANDLES,
            value=encode_candle(value) if isinstance(value, Candle) else value,
            key=b"sim|BTC-USD|1m",
            partition=3,
            on_delivery=lambda _error, message: offsets.append(message.offset() or 0),
        )
    assert producer.flush(10) == 0
    return offsets[0]


def dead_letter(environment: dict[str, str], *letters: Letter, topic: str = CANDLES) -> list[str]:
    """Write dead letters as a bridge does; returns their places."""
    brokers = environment["KAFKA_BROKERS"]
    assert DeadLetters(brokers, DEAD_LETTERS).send(topic, 3, letters)
    return [f"0/{message.offset()}" for message in read_topic(brokers, DEAD_LETTERS)][-len(letters) :]


def replayed(environment: dict[str, str]) -> list[tuple[bytes | None, bytes | None]]:
    """Keys and values of all candles in Kafka."""
    return [(each.key(), each.value()) for each in read_topic(environment["KAFKA_BROKERS"], CANDLES)]


# -- verify -----------------------------------------------------------------------------------------------------------


def test_verify_says_equal_with_status_0(environment: dict[str, str], store: CandleStore) -> None:
    candles = [make_candle(number) for number in range(3)]
    produce(environment, *candles)
    store.write(candles)
    store.roll_up(candles)

    ended = run(environment, "verify", "--wait", "0")

    (summary,) = ended.lines
    assert (ended.status, ended.errors) == (0, "")
    assert {**summary, "seconds": 0} == {
        "result": "equal",
        "records": 3,
        "candles": 3,
        "larger_candles": 6,
        **{"missing": 0, "older": 0, "altered": 0, "unreadable": 0},
        **{"newer_in_store": 0, "only_in_store": 0, "unexplained": 0, "dead_letters": 0},
        **{"bridge_behind": None, "rollup_behind": None, "since": None, "seconds": 0},
    }


def test_verify_names_larger_candles_as_well(environment: dict[str, str], store: CandleStore) -> None:
    candles = [make_candle(number) for number in range(3)]
    produce(environment, *candles)
    store.write(candles)

    ended = run(environment, "verify", "--wait", "0")
    status, text = run_on_terminal(environment, "verify", "--wait", "0")

    *differences, summary = ended.lines
    assert (ended.status, status) == (1, 1)
    assert [(each["difference"], each["topic"], each["stored"], each["reason"]) for each in differences] == [
        ("missing", None, None, "not in the store")
    ] * 6
    assert {each["expected"]["interval"] for each in differences} == {"5m", "15m", "30m", "1h", "4h", "1d"}
    assert (summary["missing"], summary["larger_candles"], summary["rollup_behind"]) == (6, 6, 3)
    assert re.search(r"missing +sim\|BTC-USD\|5m +2020-11-23 21:15:00 +not in the store", text)
    assert re.search(r"3 candles in 3 records, 6 larger candles compared, ", text)
    assert "the bridge rollup is 3 records behind" in text


def test_verify_names_each_kind_of_difference_with_status_1(
    environment: dict[str, str], store: CandleStore, mongo_uri: str, database: str
) -> None:
    missing, older, altered, equal = (make_candle(number, state=State.FINAL) for number in range(4))
    first = produce(environment, missing, older, altered, equal, b"poison")
    held = make_candle(1, state=State.OPEN)
    store.write([held, altered, equal])
    store.roll_up([held, altered, equal])
    with MongoClient[Document](mongo_uri) as client:
        id_ = document_id(series_hash(altered.series), altered.timestamp)
        client[database].candles.update_one({"_id": id_}, {"$set": {"close": Decimal128("18382.07")}})

    ended = run(environment, "verify", "--wait", "0", "--since", "-1h")

    *differences, summary = ended.lines
    assert ended.status == 1
    assert [
        (each["difference"], each["partition"], each["offset"] - first, each["expected"] and each["expected"]["rev"])
        for each in differences
    ] == [
        ("unreadable", 3, 4, None),
        ("missing", 3, 0, missing.rev),
        ("older", 3, 1, older.rev),
        ("altered", 3, 2, altered.rev),
    ]
    assert differences[1]["stored"] is None
    assert differences[2]["stored"]["rev"] == held.rev
    assert differences[3]["reason"] == "close is 18382.07, expected 18382.06"
    assert (summary["result"], summary["bridge_behind"]) == ("different", 5)
    assert [summary[kind] for kind in ("missing", "older", "altered", "unreadable")] == [1, 1, 1, 1]


def test_verify_draws_a_table_on_a_terminal(environment: dict[str, str]) -> None:
    produce(environment, make_candle())

    status, text = run_on_terminal(environment, "verify", "--wait", "0")

    assert status == 1
    assert "reading candles" in text, "no progress was shown"
    assert re.search(r"missing +sim\|BTC-USD\|1m +2020-11-23 21:17:00 +candles/3 @ \d+ +not in the store", text)
    assert "1 difference: 1 missing" in text
    assert "the bridge persist is 1 record behind" in text
    assert _COLOUR.search(text)


def test_a_terminal_without_colours_gets_none(environment: dict[str, str]) -> None:
    produce(environment, make_candle())

    status, text = run_on_terminal(environment | {"NO_COLOR": "1"}, "verify", "--wait", "0")

    assert status == 1
    assert not _COLOUR.search(text)


def test_a_terminal_gets_json_when_asked(environment: dict[str, str]) -> None:
    status, text = run_on_terminal(environment, "verify", "--json")

    assert status == 0
    assert '{"result":"equal","records":0' in text


def test_bad_usage_ends_with_status_2_and_a_sentence(environment: dict[str, str]) -> None:
    ended = run(environment, "verify", "--since", "-2x")

    assert (ended.status, ended.lines) == (2, [])
    assert "'-2x' is no time, expected a duration like -2h" in ended.errors


def test_a_bad_setting_ends_with_status_2_and_one_line(environment: dict[str, str]) -> None:
    ended = run(environment | {"MONGO_URI": "nonsense"}, "verify")

    assert (ended.status, ended.lines) == (2, [])
    assert re.fullmatch(r"MONGO_URI='nonsense': expected .+\n", ended.errors)


@pytest.mark.parametrize("words", [("verify",), ("dlq", "replay", "--all")])
def test_a_kafka_that_does_not_answer_ends_with_status_3_and_one_line(
    environment: dict[str, str], words: Sequence[str]
) -> None:
    ended = run(environment | {"KAFKA_BROKERS": "127.0.0.1:1"}, *words)

    assert (ended.status, ended.lines) == (3, [])
    assert re.fullmatch(r"Kafka at 127\.0\.0\.1:1 does not answer: .+\n", ended.errors)


def test_a_store_that_does_not_answer_ends_with_status_3_and_one_line(environment: dict[str, str]) -> None:
    produce(environment, make_candle())

    ended = run(environment | {"MONGO_URI": "mongodb://127.0.0.1:1"}, "verify")

    assert (ended.status, ended.lines) == (3, [])
    assert re.fullmatch(r"store unavailable for read_many: .+\n", ended.errors)


# -- dlq --------------------------------------------------------------------------------------------------------------


def test_list_gives_the_newest_letters_newest_last(environment: dict[str, str]) -> None:
    places = dead_letter(
        environment, *(Letter(number, b"key", b"x" * number, f"reason {number}") for number in range(5))
    )

    ended = run(environment, "dlq", "list", "--limit", "2", "--since", "-1h")

    assert ended.status == 0
    assert [{**line, "time": 0} for line in ended.lines] == [
        {
            "letter": places[number],
            "time": 0,
            "reason": f"reason {number}",
            **{"topic": CANDLES, "partition": 3, "offset": number, "bytes": number},
        }
        for number in (3, 4)
    ]


def test_list_on_a_terminal_lets_no_letter_command_it(environment: dict[str, str]) -> None:
    dead_letter(environment, Letter(7, None, None, "bad \x1b]0;title\x07"))

    status, text = run_on_terminal(environment, "dlq", "list")

    assert status == 0
    assert "bad \\x1b]0;title\\x07" in text
    assert "the newest 1 of 1 dead letters" in text
    assert "candles/3 @ 7" in text


def test_show_gives_headers_and_payload_as_they_were(environment: dict[str, str]) -> None:
    text, binary = dead_letter(environment, Letter(1, b"key", b'{"v":9}', "old"), Letter(2, None, b"\xff\x00", "odd"))

    shown, shown_binary = run(environment, "dlq", "show", text), run(environment, "dlq", "show", binary)

    headers = [["reason", "old"], ["topic", "candles"], ["partition", "3"], ["offset", "1"]]
    assert (shown.status, shown_binary.status) == (0, 0)
    assert {name: shown.lines[0][name] for name in ("headers", "key", "value")} == {
        "headers": headers,
        "key": "key",
        "value": '{"v":9}',
    }
    assert shown_binary.lines[0]["key"] is None
    assert base64.b64decode(shown_binary.lines[0]["value_base64"]) == b"\xff\x00"


def test_show_on_a_terminal_escapes_the_payload(environment: dict[str, str]) -> None:
    (place,) = dead_letter(environment, Letter(1, b"\x00k", b"\x1b[2J\xffz" + b"a" * 5000, "odd"))

    status, text = run_on_terminal(environment, "dlq", "show", place)

    assert status == 0
    assert "key: \\x00k" in text
    assert "value: \\x1b[2J\\xffz" in text
    assert "… of 5,006 bytes; --json has all" in text
    assert "\x1b[2J" not in text


def test_a_letter_that_is_not_there_is_status_1(environment: dict[str, str]) -> None:
    shown, replay = run(environment, "dlq", "show", "999999"), run(environment, "dlq", "replay", "5/999999")

    assert (shown.status, shown.errors) == (1, "candles.dlq has no dead letter 0/999999\n")
    assert replay.status == 1
    assert replay.lines == [
        {"letter": "5/999999", "stays": "candles.dlq does not have it"},
        {"result": "different", "dry_run": False, "replayed": 0, "stay": 1},
    ]


def test_replay_sends_what_is_a_candle_now_and_names_the_rest(environment: dict[str, str]) -> None:
    good = [encode_candle(make_candle(number)) for number in range(3)]
    too_large = b'{"note":"%s",' % (b"x" * 300_000) + good[0][1:]
    first, poison, second, large, nothing = dead_letter(
        environment,
        Letter(1, b"a", good[0], "was unreadable then"),
        Letter(2, b"b", b"poison", "no JSON"),
        Letter(3, b"c", good[1], "was unreadable then"),
        Letter(4, b"d", too_large, "too large"),
        Letter(5, b"e", None, "no value"),
    )
    (foreign,) = dead_letter(environment, Letter(1, b"f", good[2], "of another topic"), topic="feeds")

    dry = run(environment, "dlq", "replay", "--all", "--dry-run")
    after_dry_run = replayed(environment)
    ended = run(environment, "dlq", "replay", "--all")
    after = replayed(environment)

    assert (dry.status, dry.lines[-1]) == (1, {"result": "different", "dry_run": True, "replayed": 2, "stay": 4})
    assert after_dry_run == []
    assert (ended.status, ended.lines[-1]) == (1, {"result": "different", "dry_run": False, "replayed": 2, "stay": 4})
    assert [line["letter"] for line in ended.lines if line.get("replayed") is True] == [first, second]
    assert {line["letter"] for line in ended.lines if "stays" in line} == {poison, large, nothing, foreign}
    assert sorted(after) == [(b"a", good[0]), (b"c", good[1])]


def test_replay_sends_the_named_letters_alone_and_as_often_as_one_likes(environment: dict[str, str]) -> None:
    good = [encode_candle(make_candle(number)) for number in range(3)]
    places = dead_letter(environment, *(Letter(number, b"k", value, "old") for number, value in enumerate(good)))

    ended = [run(environment, "dlq", "replay", places[0], places[2]) for _ in range(2)]

    assert [each.status for each in ended] == [0, 0]
    assert [each.lines[-1] for each in ended] == [{"result": "done", "dry_run": False, "replayed": 2, "stay": 0}] * 2
    assert sorted(replayed(environment)) == sorted([(b"k", good[0]), (b"k", good[2])] * 2)
    assert len(read_topic(environment["KAFKA_BROKERS"], DEAD_LETTERS)) == 3


# -- lag --------------------------------------------------------------------------------------------------------------


def health_at(port: int) -> list[str]:
    """Options that say where all bridges serve their metrics."""
    return [word for name in POLICIES for word in ("--health", f"{name}=127.0.0.1:{port}")]


def test_lag_gives_every_partition_of_all_bridges(environment: dict[str, str]) -> None:
    first = produce(environment, *(make_candle(number) for number in range(4)))

    ended = run(environment, "lag", *health_at(1))

    places = [(line["bridge"], line["topic"], line["partition"]) for line in ended.lines]
    assert ended.status == 0
    assert places == [
        *(("persist", CANDLES, number) for number in range(8)),
        *(("fanout", CANDLES, number) for number in range(8)),
        ("fanout", "feeds", 0),
        *(("rollup", CANDLES, number) for number in range(8)),
        *(("rollup-live", CANDLES, number) for number in range(8)),
    ]
    line = ended.lines[3]
    assert (line["end"], line["behind"], line["in_flight"]) == (first + 4, 4, None)
    assert 0 <= line["oldest_seconds"] < 60
    assert [(each["behind"], each["oldest_seconds"]) for each in ended.lines[:3]] == [(0, None)] * 3


def test_lag_takes_what_is_in_flight_from_the_bridge(environment: dict[str, str]) -> None:
    registry = CollectorRegistry()
    gauge = Gauge("bridge_inflight_records", "", ("bridge", "topic", "partition"), registry=registry)
    gauge.labels("persist", CANDLES, "3").set(17)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    server = serve_health("127.0.0.1", port, Progress(), registry)

    ended = run(environment, "lag", *health_at(port))

    server.shutdown()
    server.server_close()
    assert [line["in_flight"] for line in ended.lines] == [None] * 3 + [17] + [None] * 29


def test_watching_goes_on_until_it_is_interrupted(environment: dict[str, str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "workers", "lag", "--watch"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        # Tests that a shell runs in the background inherit that it is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None

    with process:
        lines = [process.stdout.readline() for _ in range(2 * 33 + 1)]
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        status = process.wait(15)

    assert status == 0
    assert lines[0][:40] == lines[33][:40] == lines[66][:40]


def test_a_reader_that_went_away_is_no_traceback(environment: dict[str, str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "workers", "lag", "--watch"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None

    with process:
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
        status = process.wait(15)

    assert (status, errors) == (141, b"")
