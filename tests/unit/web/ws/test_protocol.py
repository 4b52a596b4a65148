"""Frames in, replies and subscriptions out."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.candle import Interval, Series
from web.catalogue import Catalogue
from web.ws.effects import Close, Effect, Reply, Subscribe, Unsubscribe
from web.ws.messages import ErrorCode
from web.ws.protocol import ProtocolLimits, Session

PAIRS = ("BTC-USD", "ETH-USD", "ADA-USD")
CODES = set(ErrorCode) - {ErrorCode.INTERNAL}


def series(pair: str) -> Series:
    return Series("sim", pair, Interval.M1)


def make_session(*, subscriptions: int = 200, per_second: float = 10, burst: int = 1000) -> Session:
    catalogue = Catalogue({"sim": PAIRS, "kraken": ("XMR-EUR",)})
    return Session(lambda: catalogue, ProtocolLimits(subscriptions, per_second, burst, 10), now=0.0)


def receive(session: Session, frame: str | bytes) -> list[Effect]:
    return session.receive(frame, now=0.0)


def codes(effects: list[Effect]) -> list[str]:
    return [msgspec.json.decode(effect.text)["error"]["code"] for effect in effects if isinstance(effect, Reply)]


def test_subscribe_is_not_acknowledged() -> None:
    effects = receive(make_session(), "subscribe,BTC-USD")

    assert effects == [Subscribe(series("BTC-USD"))]


@pytest.mark.parametrize("frame", ["subscribe,BTC-USD\n", " subscribe , BTC-USD ", "\r\nsubscribe,BTC-USD\r\n"])
def test_blanks_around_words_and_lines_do_not_matter(frame: str) -> None:
    effects = receive(make_session(), frame)

    assert effects == [Subscribe(series("BTC-USD"))]


def test_several_lines_in_a_frame_are_several_commands() -> None:
    effects = receive(make_session(), "subscribe,BTC-USD\nsubscribe,NO-PE\n\nsubscribe,ETH-USD\n")

    assert [effects[0], effects[2]] == [Subscribe(series("BTC-USD")), Subscribe(series("ETH-USD"))]
    assert codes(effects) == ["unknown_pair"]


def test_subscribing_again_asks_for_the_newest_again_and_counts_once() -> None:
    session = make_session(subscriptions=1)

    effects = receive(session, "subscribe,BTC-USD") + receive(session, "subscribe,BTC-USD")

    assert effects == [Subscribe(series("BTC-USD"))] * 2
    assert session.wanted.lines == {series("BTC-USD")}


def test_unsubscribe_ends_a_subscription_once() -> None:
    session = make_session()
    receive(session, "subscribe,BTC-USD")

    effects = receive(session, "unsubscribe,BTC-USD") + receive(session, "unsubscribe,BTC-USD")

    assert effects == [Unsubscribe(series("BTC-USD"))]


@pytest.mark.parametrize(
    ("frame", "reply"),
    [
        (
            "subscribe,XXX-YYY",
            b'{"error":{"code":"unknown_pair",'
            b'"message":"\'XXX-YYY\' is not a pair of sim; expected one such as BTC-USD"}}',
        ),
        (
            "hello",
            b'{"error":{"code":"bad_request","message":"expected subscribe,PAIR or unsubscribe,PAIR, got \'hello\'"}}',
        ),
    ],
)
def test_an_error_names_what_came_and_what_was_expected(frame: str, reply: bytes) -> None:
    effects = receive(make_session(), frame)

    assert effects == [Reply(reply)]


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("subscribe,btc-usd", "unknown_pair"),
        ("subscribe,XMR-EUR", "unknown_pair"),
        ("subscribe,BTC-USD,ETH-USD", "unknown_pair"),
        ("subscribe,", "unknown_pair"),
        ("unsubscribe,NO-PE", "unknown_pair"),
        ("SUBSCRIBE,BTC-USD", "bad_request"),
        ("subscribe BTC-USD", "bad_request"),
        ("", "bad_request"),
        (" \n ", "bad_request"),
        (b"subscribe,BTC-USD", "bad_request"),
        ('{"id":1', "bad_json"),
        ('{"id":1,"method":"subscribe"}', "bad_request"),
        ("{" * 100_000, "bad_json"),
        ('{"a":' * 5_000, "bad_json"),
        ("subscribe,BTC-USD\n" * 201, "bad_request"),
    ],
)
def test_what_cannot_be_served_is_answered_with_a_code(frame: str | bytes, code: str) -> None:
    effects = receive(make_session(), frame)

    assert codes(effects) == [code]
    assert len(effects) == 1


def test_one_subscription_too_many_is_refused_and_the_others_stay() -> None:
    session = make_session(subscriptions=2)

    effects = [effect for pair in PAIRS for effect in receive(session, f"subscribe,{pair}")]

    assert codes(effects) == ["too_many_subscriptions"]
    assert session.wanted.lines == {series("BTC-USD"), series("ETH-USD")}


def test_unsubscribing_makes_room() -> None:
    session = make_session(subscriptions=1)
    receive(session, "subscribe,BTC-USD")
    receive(session, "unsubscribe,BTC-USD")

    effects = receive(session, "subscribe,ETH-USD")

    assert effects == [Subscribe(series("ETH-USD"))]


def test_commands_that_come_too_fast_are_refused_and_allowed_again_later() -> None:
    session = make_session(per_second=10, burst=2)
    frames = [session.receive("subscribe,BTC-USD", now) for now in (0.0, 0.0, 0.0, 0.1)]

    assert [codes(effects) for effects in frames] == [[], [], ["rate_limited"], []]


def test_ten_bad_frames_in_a_row_end_the_connection() -> None:
    session = make_session()

    answers = [receive(session, "hello") for _ in range(10)]

    assert [len(effects) for effects in answers] == [1] * 9 + [2]
    assert answers[-1][1] == Close(1008, "too many bad frames")


def test_a_good_frame_forgives_bad_ones() -> None:
    session = make_session()

    effects = [
        effect
        for _ in range(5)
        for frame in ["hello"] * 9 + ["subscribe,BTC-USD"]
        for effect in receive(session, frame)
    ]

    assert Close not in {type(effect) for effect in effects}


def test_unknown_pairs_do_not_end_the_connection() -> None:
    session = make_session()

    effects = [effect for _ in range(30) for effect in receive(session, "subscribe,NO-PE")]

    assert codes(effects) == ["unknown_pair"] * 30
    assert len(effects) == 30


def test_a_client_that_goes_on_too_fast_is_closed() -> None:
    session = make_session(burst=1)

    effects = [effect for _ in range(101) for effect in receive(session, "subscribe,BTC-USD")]

    assert effects[-1] == Close(1008, "commands come too fast")


words = st.sampled_from(["subscribe", "unsubscribe", ",", "BTC-USD", "ETH-USD", "NO-PE", "\n", "{", "}", '"', " "])
frames = st.text() | st.binary() | st.lists(words, max_size=30).map("".join)


@given(st.lists(st.tuples(frames, st.floats(0, 1)), max_size=40))
def test_any_frames_yield_valid_effects_and_never_an_exception(steps: list[tuple[str | bytes, float]]) -> None:
    session, now, held = make_session(subscriptions=2, burst=20), 0.0, set[Series]()
    for frame, seconds in steps:
        now += seconds

        effects = session.receive(frame, now)

        assert set(codes(effects)) <= CODES
        for effect in effects:
            if isinstance(effect, Subscribe):
                held.add(effect.series)
            elif isinstance(effect, Unsubscribe):
                held.remove(effect.series)
        assert held == session.wanted.lines
        assert len(held) <= 2
        assert all(effect == effects[-1] for effect in effects if isinstance(effect, Close))
