"""The producer against a scripted Kafka client: what it keeps, in which order, and what it reports."""

from dataclasses import dataclass

import pytest
from confluent_kafka import KafkaError, KafkaException
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.backlog import CandleBacklog, EventBacklog, Seen
from ingest.candle import Candle, State
from ingest.codec import decode_candle
from ingest.events import EventKind, FeedEvent, FeedState
from ingest.marks import Marks
from ingest.producer import REFUSED_PAUSE_SECONDS, CandleProducer
from ingest.topics import CANDLES, DEAD_LETTERS
from tests.conftest import FakeClock, make_candle, minute
from tests.unit.ingest.scripted import ScriptedKafka

TIMED_OUT = KafkaError(KafkaError._MSG_TIMED_OUT)
UNAUTHORIZED = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
TOO_LARGE = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)
FATAL = KafkaError(KafkaError._FATAL, "lost its place", fatal=True)


@dataclass
class Bench:
    """A producer, its client, and the losses it reported."""

    kafka: ScriptedKafka
    producer: CandleProducer
    marks: Marks[Seen]
    clock: FakeClock
    lost: list[tuple[Candle, str]]
    clients: list[ScriptedKafka]

    def send(self, *candles: Candle) -> None:
        for candle in candles:
            self.producer.send_candle(candle, self.marks)


def make_bench(clock: FakeClock, *, room: int = 1000, backlog: int = 1000, events: int = 1000) -> Bench:
    clients: list[ScriptedKafka] = []

    def make_client() -> ScriptedKafka:
        clients.append(ScriptedKafka(room))
        return clients[-1]

    producer = CandleProducer(make_client, clock, CandleBacklog(backlog), EventBacklog(events))
    lost: list[tuple[Candle, str]] = []
    producer.report_losses("sim", lambda candle, reason: lost.append((candle, reason)))
    return Bench(clients[0], producer, Marks(), clock, lost, clients)


@pytest.fixture
def bench(clock: FakeClock) -> Bench:
    return make_bench(clock)


def version(number: int, made_at: int, state: State = State.OPEN) -> Candle:
    return make_candle(number, state=state, written_us=minute(0) * 1000 + made_at)


def feed_event(kind: EventKind = EventKind.GAP) -> FeedEvent:
    return FeedEvent("sim", kind, FeedState.LIVE, 1, 2)


def test_a_candle_goes_out_keyed_by_its_series(bench: Bench) -> None:
    bench.send(version(0, 1))

    record = bench.kafka.report()

    assert (record.topic, record.key, decode_candle(record.value)) == (CANDLES, b"sim|BTC-USD|1m", version(0, 1))


def test_what_kafka_cannot_take_now_waits_in_its_newest_version(clock: FakeClock) -> None:
    bench = make_bench(clock, room=1)
    bench.send(version(0, 1), version(0, 2), version(1, 3), version(0, 4))

    for _ in range(3):
        bench.kafka.report()
        bench.producer.poll()

    assert bench.kafka.candles() == [version(0, 1), version(1, 3), version(0, 4)]


def test_a_candle_that_timed_out_is_sent_again(bench: Bench) -> None:
    bench.send(version(0, 1))
    bench.kafka.report(TIMED_OUT)

    bench.producer.poll()
    bench.kafka.report()

    assert bench.kafka.candles() == [version(0, 1)]


@pytest.mark.parametrize("delivered_first", [True, False])
def test_a_candle_that_timed_out_is_not_sent_after_a_newer_version(bench: Bench, delivered_first: bool) -> None:
    bench.send(version(0, 1), version(0, 2))

    if delivered_first:
        bench.kafka.report(position=1)
    bench.kafka.report(TIMED_OUT)
    bench.producer.poll()
    bench.kafka.report_all()

    assert bench.kafka.candles() == [version(0, 2)]


def test_when_all_versions_time_out_only_the_newest_is_sent_again(bench: Bench) -> None:
    bench.send(version(0, 1), version(0, 2), version(1, 3), version(0, 4))
    bench.kafka.report_all(TIMED_OUT)

    bench.producer.poll()
    bench.kafka.report_all()

    assert bench.kafka.candles() == [version(1, 3), version(0, 4)]


def test_a_full_backlog_reports_the_candle_it_gives_up(clock: FakeClock) -> None:
    bench = make_bench(clock, room=0, backlog=1)

    bench.send(version(0, 1), version(1, 2))

    assert bench.lost == [(version(0, 1), "the backlog is full")]


def test_a_candle_that_kafka_refuses_for_good_is_reported_and_not_sent_again(bench: Bench) -> None:
    bench.send(version(0, 1))

    bench.kafka.report(TOO_LARGE)
    bench.producer.poll()

    assert ([candle for candle, _ in bench.lost], bench.kafka.queued) == ([version(0, 1)], [])


def test_a_refusal_that_may_pass_is_tried_again_after_a_pause(bench: Bench) -> None:
    bench.send(version(0, 1))
    bench.kafka.report(UNAUTHORIZED)

    bench.producer.poll()
    at_once = len(bench.kafka.queued)
    bench.clock.advance(REFUSED_PAUSE_SECONDS)
    bench.producer.poll()

    assert (at_once, len(bench.kafka.queued), bench.lost) == (0, 1, [])


def test_a_client_that_became_unusable_is_replaced_and_nothing_is_lost(bench: Bench) -> None:
    bench.send(version(0, 1), version(1, 2))
    bench.kafka.report(FATAL)
    bench.kafka.raises = KafkaException(FATAL)
    bench.send(version(1, 3))

    bench.producer.poll()
    bench.clients[-1].report_all()

    assert (len(bench.clients), bench.clients[-1].candles()) == (2, [version(0, 1), version(1, 3)])


def test_a_mark_is_reached_once_everything_before_it_is_acknowledged(bench: Bench) -> None:
    bench.send(version(0, 1), version(1, 2))
    bench.marks.place((60, ("BTC-USD",)))
    bench.send(version(2, 3))

    reached = []
    for _ in range(2):
        bench.kafka.report()
        reached.append(bench.marks.reached)

    assert reached == [None, (60, ("BTC-USD",))]


def test_a_mark_waits_for_the_version_that_replaced_one_before_it(clock: FakeClock) -> None:
    bench = make_bench(clock, room=1)
    bench.send(version(0, 1), version(1, 2))
    bench.marks.place((60, ()))
    bench.send(version(1, 3))

    bench.kafka.report()
    before = bench.marks.reached
    bench.producer.poll()
    bench.kafka.report()

    assert (before, bench.marks.reached) == (None, (60, ()))


def test_a_mark_waits_for_the_newer_version_when_an_older_one_timed_out(bench: Bench) -> None:
    bench.send(version(0, 1))
    bench.marks.place((60, ()))
    bench.send(version(0, 2))

    bench.kafka.report(TIMED_OUT)
    before = bench.marks.reached
    bench.kafka.report()

    assert (before, bench.marks.reached) == (None, (60, ()))


def test_a_mark_waits_for_what_replaced_a_newer_version_that_timed_out_first(bench: Bench) -> None:
    bench.send(version(0, 1))
    bench.marks.place((60, ()))
    bench.send(version(0, 2))
    bench.kafka.report(TIMED_OUT, position=1)
    bench.kafka.room = 1
    bench.send(version(0, 3))  # takes the place of the second version

    bench.kafka.report(TIMED_OUT)
    before = bench.marks.reached
    bench.producer.poll()
    bench.kafka.report_all()

    assert (before, bench.marks.reached, bench.kafka.candles()) == (None, (60, ()), [version(0, 3)])


def test_a_mark_waits_for_a_gap_event(bench: Bench) -> None:
    bench.producer.send_event(feed_event(), bench.marks)
    bench.marks.place((60, ()))
    bench.kafka.report(TIMED_OUT)

    before = bench.marks.reached
    bench.producer.poll()
    bench.kafka.report()

    assert (before, bench.marks.reached, bench.kafka.events()) == (None, (60, ()), [feed_event()])


def test_a_beat_that_kafka_cannot_take_is_dropped(clock: FakeClock) -> None:
    bench = make_bench(clock, room=0)
    bench.producer.send_event(feed_event(EventKind.BEAT), bench.marks)

    bench.kafka.room = 10
    bench.producer.poll()

    assert (bench.kafka.queued, bench.producer.unfinished) == ([], 0)


def test_events_keep_their_order_while_kafka_is_full(clock: FakeClock) -> None:
    bench = make_bench(clock, room=0)
    kinds = [EventKind.DISCONNECTED, EventKind.CONNECTED, EventKind.GAP]
    for kind in kinds:
        bench.producer.send_event(feed_event(kind), bench.marks)

    bench.kafka.room = 10
    bench.producer.poll()
    bench.kafka.report_all()

    assert [event.event for event in bench.kafka.events()] == kinds


def test_a_dead_letter_carries_the_reason_and_the_headers_of_every_dead_letter(bench: Bench) -> None:
    bench.producer.send_dead_letter("sim", '{"price":"é"}', "candle of BTC-USD: no price")

    record = bench.kafka.report()

    assert (record.topic, record.key, record.value.decode(), record.headers) == (
        DEAD_LETTERS,
        b"sim",
        '{"price":"é"}',
        [("reason", b"candle of BTC-USD: no price"), ("topic", b""), ("partition", b"-1"), ("offset", b"-1")],
    )


def test_a_dead_letter_that_kafka_cannot_take_costs_nothing_else(clock: FakeClock) -> None:
    bench = make_bench(clock, room=0)

    bench.producer.send_dead_letter("sim", b"\xff", "not JSON")

    assert (bench.producer.unfinished, bench.lost) == (0, [])


def test_names_what_is_unfinished(clock: FakeClock) -> None:
    bench = make_bench(clock, room=1)
    bench.send(version(0, 1), version(1, 2))
    bench.producer.send_event(feed_event(), bench.marks)

    assert (bench.producer.unfinished, bench.producer.unfinished_names()) == (
        3,
        [f"sim|BTC-USD|1m@{minute(0)}", f"sim|BTC-USD|1m@{minute(1)}", "1 feed events"],
    )


steps = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(0, 1)),
        st.tuples(st.just("ok"), st.integers(0, 5)),
        st.tuples(st.just("fail"), st.integers(0, 5)),
        st.tuples(st.just("room"), st.integers(0, 3)),
        st.tuples(st.just("poll"), st.just(0)),
        st.tuples(st.just("mark"), st.just(0)),
    ),
    max_size=80,
)


@settings(max_examples=500)
@given(steps, st.integers(1, 4))
def test_every_candle_is_in_kafka_in_its_newest_version_or_reported_lost(
    script: list[tuple[str, int]], backlog: int
) -> None:
    bench = make_bench(FakeClock(), backlog=backlog)
    sent: list[Candle] = []
    placed: list[tuple[int, list[Candle]]] = []

    for position, (action, number) in enumerate(script):
        if action == "send":
            sent.append(version(number, position))
            bench.send(sent[-1])
        elif action in ("ok", "fail") and bench.kafka.queued:
            bench.kafka.report(None if action == "ok" else TIMED_OUT, number % len(bench.kafka.queued))
        elif action == "room":
            bench.kafka.room = number
        elif action == "poll":
            bench.producer.poll()
        elif action == "mark":
            placed.append((position, list(sent)))
            bench.marks.place((position, ()))
        # What a mark promises holds at every moment, not only at the end.
        settled = bench.kafka.candles() + [candle for candle, _ in bench.lost]
        for place, before in placed:
            if bench.marks.reached is not None and place <= bench.marks.reached[0]:
                for candle in before:
                    assert any(each.timestamp == candle.timestamp and each.rev >= candle.rev for each in settled), (
                        candle
                    )

    bench.kafka.room = 1000
    while bench.producer.unfinished:
        bench.producer.poll()
        bench.kafka.report_all()
    bench.marks.place((len(script), ()))

    settled = bench.kafka.candles() + [candle for candle, _ in bench.lost]
    newest = {candle.timestamp: candle.rev for candle in sent}
    assert {key: max(each.rev for each in settled if each.timestamp == key) for key in newest} == newest
    assert bench.marks.reached == (len(script), ())
