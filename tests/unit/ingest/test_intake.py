"""What is done with each frame: candles, gaps, beats and dead letters, on a scripted exchange and Kafka client."""

import logging
from dataclasses import dataclass

import pytest

from ingest.candle import State
from ingest.events import EventKind, FeedEvent, FeedState
from ingest.exchanges.base import Event, Heartbeat, Invalid, MissedFrames, Rejected, Subscribed
from ingest.intake import ANSWER_SECONDS, EXACT_TIME_SECONDS, MAX_REJECTIONS, Intake
from ingest.producer import CandleProducer
from ingest.revision import HybridClock
from ingest.tail import Tail
from ingest.topics import DEAD_LETTERS
from tests.conftest import FakeClock, make_candle, minute
from tests.unit.ingest.scripted import ScriptedAdapter, ScriptedKafka, update

PAIRS = ("BTC-USD", "ETH-USD")
ACCEPTED: list[Event] = [Subscribed(pair) for pair in PAIRS]


@dataclass
class Bench:
    """An intake between a scripted exchange and a scripted Kafka client."""

    intake: Intake
    adapter: ScriptedAdapter
    kafka: ScriptedKafka

    def hear(self, *events: Event) -> MissedFrames | None:
        """One frame that means these events."""
        self.adapter.meanings = {"frame": list(events)}
        return self.intake.receive("frame")

    def connect(self, *events: Event) -> None:
        """A connection on which both pairs are accepted, and then these events."""
        self.intake.began()
        self.hear(*ACCEPTED, *events)

    def candles(self) -> list[tuple[str, int, str]]:
        """Pair, minute and state of what Kafka has acknowledged."""
        self.kafka.report_all()
        return [(each.pair, (each.timestamp - minute(0)) // 60_000, each.state.value) for each in self.kafka.candles()]

    def told(self, kind: EventKind) -> list[FeedEvent]:
        """The acknowledged events of one kind."""
        self.kafka.report_all()
        return self.kafka.told(kind)

    def gaps(self) -> list[tuple[int | None, int | None, tuple[str, ...]]]:
        """The gaps told so far."""
        return [(event.gap_from, event.gap_to, event.pairs) for event in self.told(EventKind.GAP)]


def make_bench(clock: FakeClock, tail: Tail | None = None) -> Bench:
    kafka, adapter = ScriptedKafka(), ScriptedAdapter()
    producer = CandleProducer(lambda: kafka, clock)
    intake = Intake(
        "sim",
        adapter,
        PAIRS,
        producer=producer,
        revisions=HybridClock(clock.now_us),
        clock=clock,
        tail=tail or Tail(),
    )
    return Bench(intake, adapter, kafka)


def beat(until: int | None, pairs: tuple[str, ...] = PAIRS) -> FeedEvent:
    return FeedEvent("sim", EventKind.BEAT, FeedState.LIVE, 1, 2, until=until, pairs=pairs)


@pytest.fixture
def bench(clock: FakeClock) -> Bench:
    return make_bench(clock)


def test_asks_for_all_pairs_when_a_connection_begins(bench: Bench) -> None:
    assert bench.intake.began() == ["follow BTC-USD ETH-USD"]


def test_sends_candles_with_the_name_of_the_exchange(bench: Bench) -> None:
    bench.connect(update(0), update(1, pair="ETH-USD"))

    assert bench.candles() == [("BTC-USD", 0, "open"), ("ETH-USD", 1, "open")]


def test_a_candle_is_final_when_its_successor_came_on_the_same_connection(bench: Bench) -> None:
    bench.connect(update(0), update(1))

    assert bench.candles() == [("BTC-USD", 0, "open"), ("BTC-USD", 0, "final"), ("BTC-USD", 1, "open")]


def test_a_candle_is_provisional_when_the_connection_was_another_one(bench: Bench) -> None:
    bench.connect(update(0))
    bench.intake.ended("closed")
    bench.connect(update(1))

    assert bench.candles() == [("BTC-USD", 0, "open"), ("BTC-USD", 0, "provisional"), ("BTC-USD", 1, "open")]


def test_missed_frames_end_the_proof_even_within_one_frame(bench: Bench) -> None:
    bench.connect(update(0))

    missed = bench.hear(MissedFrames(5, 7), update(1))

    assert missed == MissedFrames(5, 7)
    assert bench.candles() == [("BTC-USD", 0, "open"), ("BTC-USD", 0, "provisional"), ("BTC-USD", 1, "open")]


def test_a_frame_that_cannot_be_read_may_have_held_a_last_update(bench: Bench) -> None:
    bench.connect(update(0))
    bench.hear(Invalid("not JSON"))
    bench.hear(update(1))

    assert bench.candles() == [("BTC-USD", 0, "open"), ("BTC-USD", 0, "provisional"), ("BTC-USD", 1, "open")]


def test_a_frame_that_cannot_be_read_becomes_a_dead_letter(bench: Bench) -> None:
    bench.connect(Invalid("price is missing"))

    letters = [record for record in bench.kafka.queued if record.topic == DEAD_LETTERS]

    assert [(record.value, (record.headers or [])[0]) for record in letters] == [
        (b"frame", ("reason", b"price is missing"))
    ]


def test_a_candle_nobody_asked_for_becomes_a_dead_letter(bench: Bench) -> None:
    bench.connect(update(0, pair="DOGE-USD"))

    reasons = [record.headers[0][1] for record in bench.kafka.queued if record.headers]

    assert (bench.candles(), reasons) == ([], [b"candle of DOGE-USD 1m, which is not followed"])


def test_a_candle_from_the_future_becomes_a_dead_letter_and_closes_nothing(bench: Bench) -> None:
    bench.connect(update(0), update(60 * 24 * 2))

    assert bench.candles() == [("BTC-USD", 0, "open")]


def test_a_first_start_tells_no_gap(bench: Bench) -> None:
    bench.connect(Heartbeat(minute(0)))

    assert bench.gaps() == []


def test_a_reconnect_tells_the_time_between_in_one_gap(bench: Bench) -> None:
    bench.connect(Heartbeat(minute(0)), Heartbeat(minute(0) + 5000))
    bench.intake.ended("closed")
    bench.connect(Heartbeat(minute(0) + 9000))

    assert bench.gaps() == [(minute(0) + 5000, minute(0) + 9000, PAIRS)]


def test_a_running_candle_bounds_a_gap_when_the_exchange_does_not_say_its_time(bench: Bench) -> None:
    bench.connect(update(0))
    bench.intake.ended("closed")
    bench.connect(update(3))

    at_once = bench.gaps()
    bench.intake.tick(EXACT_TIME_SECONDS)

    assert (at_once, bench.gaps()) == ([], [(minute(0), minute(4), PAIRS)])


def test_history_does_not_bound_a_gap(bench: Bench) -> None:
    from ingest.exchanges.base import Origin

    bench.connect(update(0))
    bench.intake.ended("closed")
    bench.connect(update(2, origin=Origin.HISTORY))

    assert bench.gaps() == []


def test_missed_frames_are_told_as_a_gap_after_the_reconnect(bench: Bench) -> None:
    bench.connect(Heartbeat(minute(0)))
    bench.hear(MissedFrames(5, 7), Heartbeat(minute(0) + 5000))
    bench.intake.ended("missed frames")
    bench.connect(Heartbeat(minute(0) + 8000))

    assert bench.gaps() == [(minute(0), minute(0) + 8000, PAIRS)]


def test_a_restart_tells_a_gap_from_what_the_last_beat_said(clock: FakeClock) -> None:
    bench = make_bench(clock, Tail(beat=beat(minute(0) - 7000)))

    bench.connect(Heartbeat(minute(0)))

    assert bench.gaps() == [(minute(0) - 7000, minute(0), PAIRS)]


def test_a_restart_without_a_beat_tells_a_gap_from_the_newest_candle(clock: FakeClock) -> None:
    bench = make_bench(clock, Tail(candles=(make_candle(-3, state=State.FINAL), make_candle(-2))))

    bench.connect(Heartbeat(minute(0)))

    assert bench.gaps() == [(minute(-2), minute(0), ("BTC-USD",))]


def test_a_restart_says_first_what_the_process_before_it_had_seen(clock: FakeClock) -> None:
    bench = make_bench(clock, Tail(candles=(make_candle(-3), make_candle(-2, pair="ETH-USD"))))

    first = bench.told(EventKind.BEAT)[0]

    assert (first.feed, first.until, first.pairs) == (FeedState.DOWN, minute(-3), PAIRS)


def test_a_restart_sends_what_was_left_open_as_provisional(clock: FakeClock) -> None:
    bench = make_bench(clock, Tail(candles=(make_candle(-2), make_candle(-1))))

    assert bench.candles() == [("BTC-USD", -2, "provisional")]


def test_beats_once_a_second(bench: Bench) -> None:
    bench.connect()
    for _ in range(12):
        bench.intake.tick(0.25)

    # One more on start, and one at once when the feed turned live.
    assert len(bench.told(EventKind.BEAT)) == 2 + 3


def test_a_beat_says_what_kafka_has_acknowledged(bench: Bench) -> None:
    bench.connect(Heartbeat(minute(0)), update(0))
    bench.intake.beat()
    before = bench.told(EventKind.BEAT)[-1]

    bench.intake.beat()
    after = bench.told(EventKind.BEAT)[-1]

    assert ((before.until, before.pairs), (after.until, after.pairs)) == ((None, ()), (minute(0), PAIRS))


def test_a_beat_does_not_pass_a_gap_that_kafka_has_not_acknowledged(clock: FakeClock) -> None:
    bench = make_bench(clock, Tail(beat=beat(minute(-5))))
    bench.connect(Heartbeat(minute(0)))
    for record in [record for record in bench.kafka.queued if b'"gap"' not in record.value]:
        bench.kafka.report(position=bench.kafka.queued.index(record))

    bench.intake.beat()
    bench.kafka.report(position=1)

    assert bench.kafka.told(EventKind.BEAT)[-1].until == minute(-5)


def test_a_feed_is_stale_when_no_frame_came_for_half_the_silence_allowed(bench: Bench, clock: FakeClock) -> None:
    bench.connect()
    bench.intake.tick(bench.adapter.silence_seconds / 2)
    clock.advance(6)

    bench.intake.tick(0.25)

    assert [(event.feed, event.since) for event in bench.told(EventKind.BEAT)][-1] == (
        FeedState.STALE,
        minute(0) + 6000,
    )


def test_a_feed_without_a_connection_is_down(bench: Bench) -> None:
    bench.connect()
    bench.intake.ended("closed by the exchange")

    bench.intake.tick(1.0)

    assert [(event.feed, event.reason) for event in bench.told(EventKind.DISCONNECTED)] == [
        (FeedState.DOWN, "closed by the exchange")
    ]
    assert bench.told(EventKind.BEAT)[-1].feed is FeedState.DOWN


def test_a_rejected_pair_is_named_once_and_the_others_go_on(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "ingest.intake")
    rejection = Rejected("ETH-USD", "invalid symbol identifier")
    for _ in range(2):
        bench.intake.began()
        bench.hear(Subscribed("BTC-USD"), rejection, update(0), Heartbeat(minute(0)))
        bench.intake.ended("closed")

    assert ([record.__dict__["pair"] for record in caplog.records if "rejected" in record.msg], bench.candles()) == (
        ["ETH-USD"],
        [("BTC-USD", 0, "open")],
    )
    assert bench.intake.ask_again() == ["follow BTC-USD"]


def test_an_exchange_with_ever_new_reasons_costs_no_more_memory(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    reasons = [f"try again at {number}" for number in range(MAX_REJECTIONS + 1)]
    bench.connect(*(Rejected(None, reason, retryable=True) for reason in reasons))
    caplog.clear()

    bench.hear(*(Rejected(None, reason, retryable=True) for reason in (reasons[-1], reasons[0])))

    # What was said longest ago is said again, because it is not remembered any more.
    assert [record.__dict__["reason"] for record in caplog.records] == [reasons[0]]


def test_a_rejection_that_may_pass_is_asked_about_again(bench: Bench) -> None:
    bench.intake.began()
    bench.hear(Subscribed("BTC-USD"), Rejected("ETH-USD", "rate limit exceeded", retryable=True))

    assert bench.intake.ask_again() == ["follow ETH-USD"]


def test_nothing_is_asked_again_when_everything_is_answered(bench: Bench) -> None:
    bench.connect()

    assert bench.intake.ask_again() == []


def test_a_pair_without_an_answer_does_not_hold_up_the_gap_of_the_others(clock: FakeClock) -> None:
    bench = make_bench(clock, Tail(beat=beat(minute(-5))))
    bench.intake.began()
    bench.hear(Subscribed("BTC-USD"), Heartbeat(minute(0)))
    bench.intake.tick(ANSWER_SECONDS)

    bench.hear(Heartbeat(minute(0) + 5000))

    assert bench.gaps() == [(minute(-5), minute(0) + 5000, ("BTC-USD",))]


def test_a_lost_candle_is_told(clock: FakeClock) -> None:
    from confluent_kafka import KafkaError

    bench = make_bench(clock)
    bench.connect(update(0))
    position = next(i for i, record in enumerate(bench.kafka.queued) if record.topic == "candles")

    bench.kafka.report(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE), position)

    assert [(event.series, event.timestamp) for event in bench.told(EventKind.LOST)] == [("sim|BTC-USD|1m", minute(0))]
