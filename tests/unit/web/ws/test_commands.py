"""JSON commands: what follows from each, and from anything else that a client may send."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.candle import Interval, Series
from tests.unit.web.ws.test_asyncapi import validator_of
from web.catalogue import Catalogue
from web.ws import messages
from web.ws.effects import Close, Effect, Open, Reply, Shut, Subscribe, Unsubscribe, Wish
from web.ws.protocol import ProtocolLimits, Session

BTC, ETH, ADA = (Series("sim", pair, Interval.M1) for pair in ("BTC-USD", "ETH-USD", "ADA-USD"))
MONERO = Series("kraken", "XMR-EUR", Interval.M1)
NOW_MS = 1_606_166_221_234


def make_session(*, subscriptions: int = 200, burst: int = 1000, bad_frames: int = 10) -> Session:
    catalogue = Catalogue({"sim": ("BTC-USD", "ETH-USD", "ADA-USD"), "kraken": ("XMR-EUR",)})
    return Session(lambda: catalogue, ProtocolLimits(subscriptions, 10, burst, bad_frames), 0.0, lambda: NOW_MS)


def send(session: Session, method: str, id_: Any = 1, **params: Any) -> list[Effect]:
    command = {"id": id_, "method": method} | ({"params": params} if params else {})
    return session.receive(json.dumps(command), 0.0)


def replies(effects: list[Effect]) -> list[dict[str, Any]]:
    return [msgspec.json.decode(effect.text) for effect in effects if isinstance(effect, Reply)]


def error_of(effects: list[Effect]) -> tuple[Any, str]:
    (reply,) = replies(effects)
    return reply.get("id"), reply["error"]["code"]


def test_subscribe_opens_each_pair_with_what_it_asks_for() -> None:
    effects = send(
        make_session(),
        "subscribe",
        channel="candles",
        exchange="sim",
        pairs=["BTC-USD", "ETH-USD"],
        interval="1m",
        snapshot=60,
        cursors={"ETH-USD": "5f3a9c:700"},
        max_rate=10,
    )

    assert effects == [Open(1, (Wish(BTC, 60, None, 10.0), Wish(ETH, 60, "5f3a9c:700", 10.0)))]


def test_what_is_left_out_has_a_default() -> None:
    effects = make_session().receive('{"method":"subscribe","params":{"pairs":["BTC-USD"]}}', 0.0)

    assert effects == [Open(msgspec.UNSET, (Wish(BTC, 1, None, None),))]


def test_another_exchange_can_be_had() -> None:
    effects = send(make_session(), "subscribe", exchange="kraken", pairs=["XMR-EUR"])

    assert effects == [Open(1, (Wish(MONERO, 1, None, None),))]


@pytest.mark.parametrize("interval", list(Interval))
def test_every_interval_of_a_known_pair_can_be_had_whether_or_not_any_of_it_is_stored(interval: Interval) -> None:
    session = make_session()

    opened = send(session, "subscribe", pairs=["ETH-USD"], interval=interval.value)
    shut = send(session, "unsubscribe", pairs=["ETH-USD"], interval=interval.value)

    series = ETH._replace(interval=interval)
    assert opened == [Open(1, (Wish(series, 1, None, None),))]
    assert shut[0] == Shut(series)


def test_intervals_of_one_pair_are_subscriptions_of_their_own() -> None:
    session = make_session(subscriptions=2)

    effects = [send(session, "subscribe", pairs=["BTC-USD"], interval=interval) for interval in ("1m", "5m", "1h")]

    assert [each[0] for each in effects[:2]] == [
        Open(1, (Wish(BTC._replace(interval=interval), 1, None, None),)) for interval in (Interval.M1, Interval.M5)
    ]
    assert error_of(effects[2]) == (1, "too_many_subscriptions")


def test_each_pair_is_answered_once_and_the_good_ones_are_served() -> None:
    effects = send(make_session(), "subscribe", id_="a", pairs=["BTC-XXX", "BTC-USD", "btc-usd", "BTC-USD", "BTC-XXX"])

    assert [(each["id"], each["error"]["code"], each["error"]["pair"]) for each in replies(effects)] == [
        ("a", "unknown_pair", "BTC-XXX"),
        ("a", "unknown_pair", "btc-usd"),
    ]
    assert effects[-1] == Open("a", (Wish(BTC, 1, None, None),))


@pytest.mark.parametrize(
    ("params", "reply"),
    [
        (
            {"pairs": ["BTC-XXX"]},
            b'{"id":1,"error":{"code":"unknown_pair",'
            b'"message":"\'BTC-XXX\' is not a pair of sim; expected one such as BTC-USD","pair":"BTC-XXX"}}',
        ),
        (
            {"exchange": "mtgox", "pairs": ["BTC-USD"]},
            b'{"id":1,"error":{"code":"unknown_exchange",'
            b'"message":"\'mtgox\' is not an exchange that is followed","pair":"BTC-USD"}}',
        ),
        (
            {"pairs": ["BTC-USD"], "interval": "2m"},
            b'{"id":1,"error":{"code":"unknown_interval",'
            b'"message":"\'2m\' is not an interval; expected one of 1m, 5m, 15m, 30m, 1h, 4h, 1d","pair":"BTC-USD"}}',
        ),
    ],
)
@pytest.mark.parametrize("method", ["subscribe", "unsubscribe"])
def test_an_unknown_name_is_answered_with_its_code(method: str, params: dict[str, Any], reply: bytes) -> None:
    effects = send(make_session(), method, **params)

    assert effects == [Reply(reply)]


def test_unsubscribe_ends_a_subscription_before_it_is_answered_and_may_be_repeated() -> None:
    session = make_session()
    send(session, "subscribe", pairs=["BTC-USD"])

    first, second = (send(session, "unsubscribe", pairs=["BTC-USD"]) for _ in range(2))

    answer = Reply(b'{"id":1,"result":{"exchange":"sim","pair":"BTC-USD","interval":"1m"}}')
    assert (first, second) == ([Shut(BTC), answer], [answer])


def test_list_names_what_was_subscribed_by_json() -> None:
    session = make_session()
    send(session, "subscribe", pairs=["ETH-USD"], max_rate=2)
    send(session, "subscribe", exchange="kraken", pairs=["XMR-EUR"])
    session.receive("subscribe,ADA-USD", 0.0)

    (reply,) = replies(send(session, "list", id_=9))

    kraken = {"channel": "candles", "exchange": "kraken", "pair": "XMR-EUR", "interval": "1m"}
    sim = {"channel": "candles", "exchange": "sim", "pair": "ETH-USD", "interval": "1m", "max_rate": 2.0}
    assert reply == {"id": 9, "result": {"subscriptions": [kraken, sim]}}


def test_ping_is_answered_with_the_time() -> None:
    assert send(make_session(), "ping") == [Reply(b'{"id":1,"result":{"time":1606166221234}}')]


def test_both_protocols_share_the_limit_and_a_series_may_be_had_by_both() -> None:
    session = make_session(subscriptions=3)
    session.receive("subscribe,BTC-USD", 0.0)

    effects = send(session, "subscribe", pairs=["BTC-USD", "ETH-USD", "ADA-USD"])
    again = send(session, "subscribe", pairs=["ETH-USD"])

    assert [(each["error"]["code"], each["error"]["pair"]) for each in replies(effects)] == [
        ("too_many_subscriptions", "ADA-USD")
    ]
    assert effects[-1] == Open(1, (Wish(BTC, 1, None, None), Wish(ETH, 1, None, None)))
    assert again == [Open(1, (Wish(ETH, 1, None, None),))]
    assert len(session.wanted) == 3


@pytest.mark.parametrize(
    ("frame", "id_", "code"),
    [
        ("{", None, "bad_json"),
        ('{"id":1', None, "bad_json"),
        ('{"id":1}{"id":2}', None, "bad_json"),
        ('{"a":' * 5_000, None, "bad_json"),
        ('{"a":"\\ud800"}', None, "bad_json"),
        ('{"id":1,"method":"ping","n":1e999}', None, "bad_request"),
        ('{"id":1.5,"method":"ping"}', None, "bad_request"),
        ('{"id":9007199254740992,"method":"ping"}', None, "bad_request"),
        ('{"id":[1],"method":"ping"}', None, "bad_request"),
        ('{"id":"%s","method":"ping"}' % ("x" * 65), None, "bad_request"),
        ("{}", None, "unknown_method"),
        ('{"id":7,"method":"SUBSCRIBE"}', 7, "unknown_method"),
        ('{"id":7,"method":["subscribe"]}', 7, "unknown_method"),
        ('{"id":7,"method":"subscribe"}', 7, "bad_request"),
        ('{"id":7,"method":"subscribe","params":[]}', 7, "bad_request"),
        ('{"id":7,"method":"subscribe","params":{"pairs":[]}}', 7, "bad_request"),
        ('{"id":7,"method":"subscribe","params":{"pairs":"BTC-USD"}}', 7, "bad_request"),
        ('{"id":7,"method":"subscribe","params":{"pairs":["BTC-USD"],"snapshot":501}}', 7, "bad_request"),
        ('{"id":7,"method":"subscribe","params":{"pairs":["BTC-USD"],"snapshot":-1}}', 7, "bad_request"),
        ('{"id":7,"method":"subscribe","params":{"pairs":["BTC-USD"],"max_rate":0}}', 7, "bad_request"),
        ('{"id":7,"method":"subscribe","params":{"pairs":["BTC-USD"],"max_rates":1}}', 7, "bad_request"),
        ('{"id":7,"method":"subscribe","params":{"pairs":["BTC-USD"],"channel":"trades"}}', 7, "bad_request"),
        ('{"id":7,"method":"unsubscribe","params":{"pairs":["BTC-USD"],"snapshot":1}}', 7, "bad_request"),
        (json.dumps({"id": 7, "method": "subscribe", "params": {"pairs": ["A-B"] * 201}}), 7, "bad_request"),
    ],
)
def test_what_is_no_command_is_answered_with_a_code(frame: str, id_: int | None, code: str) -> None:
    effects = make_session().receive(frame, 0.0)

    assert error_of(effects) == (id_, code)
    assert len(effects) == 1


def test_the_last_of_two_equal_keys_counts() -> None:
    effects = make_session().receive('{"id":1,"method":"list","id":2,"method":"ping"}', 0.0)

    assert replies(effects) == [{"id": 2, "result": {"time": NOW_MS}}]


def test_bad_frames_in_a_row_end_the_connection_and_the_number_is_a_setting() -> None:
    session = make_session(bad_frames=3)

    answers = [session.receive("{", 0.0) for _ in range(3)]

    assert [len(effects) for effects in answers] == [1, 1, 2]
    assert answers[-1][1] == Close(1008, "too many bad frames")


def test_a_command_that_comes_too_fast_is_refused_under_its_id() -> None:
    session = make_session(burst=1)
    send(session, "ping")

    assert error_of(send(session, "ping", id_=5)) == (5, "rate_limited")


def test_errors_repeat_little_of_what_was_sent_and_nothing_that_does_not_print() -> None:
    for frame in (
        '{"method":"%s"}' % ("\\u0000\\n" + "é" * 5000),
        '{"method":"subscribe","params":{"pairs":["A-B"],"%s":1}}' % ("\\u001b[31m" + "x" * 5000),
    ):
        (reply,) = replies(make_session().receive(frame, 0.0))

        message = reply["error"]["message"]
        assert message.isascii()
        assert message.isprintable()
        assert len(message) < 350


# -- any frames -----------------------------------------------------------------------------------------------------

pairs = st.sampled_from(["BTC-USD", "ETH-USD", "ADA-USD", "XMR-EUR", "NO-PE", "", "\ud800", "x" * 65]) | st.text()
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(10**300, 10**301) | st.floats() | st.text() | pairs,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
params = st.fixed_dictionaries(
    {},
    optional={
        "channel": st.just("candles") | values,
        "exchange": st.sampled_from(["sim", "kraken"]) | values,
        "pairs": st.lists(pairs, max_size=5) | values,
        "interval": st.sampled_from([*Interval, "1w"]) | values,
        "snapshot": st.integers(0, 500) | values,
        "cursors": st.dictionaries(pairs, st.text(), max_size=3) | values,
        "max_rate": st.floats(0.1, 1000) | values,
        "other": values,
    },
)
commands = st.fixed_dictionaries(
    {},
    optional={
        "id": st.integers(-5, 5) | st.text() | values,
        "method": st.sampled_from(messages.METHODS) | values,
        "params": params | values,
    },
).map(json.dumps)
good = st.builds(
    lambda method, names, rate: json.dumps({"method": method, "params": {"pairs": names, **rate}}),
    st.sampled_from(["subscribe", "unsubscribe"]),
    st.lists(st.sampled_from(["BTC-USD", "ETH-USD", "ADA-USD"]), min_size=1, max_size=4),
    st.sampled_from([{}, {"snapshot": 5}]),
)
torn = st.builds(lambda frame, cut: frame[:cut], commands, st.integers(0, 80))
twice = st.builds(lambda one, two: one[:-1] + "," + two[1:], commands, commands)
deep = st.integers(1, 4000).map(lambda depth: '{"params":' * depth)
lines = st.sampled_from(["subscribe,BTC-USD", "unsubscribe,BTC-USD", "subscribe,NO-PE", "hello", ""])
frames = commands | good | torn | twice | deep | lines | st.text() | st.binary() | values.map(json.dumps)

_replies = validator_of(*messages.REPLIES)


@settings(max_examples=300)
@given(st.lists(st.tuples(frames, st.floats(0, 1)), max_size=30))
def test_any_frames_yield_replies_that_the_description_accepts_and_bounded_state(
    steps: list[tuple[str | bytes, float]],
) -> None:
    session, now = make_session(subscriptions=2, burst=20), 0.0
    lines, channels = set[Series](), set[Series]()
    for frame, seconds in steps:
        now += seconds

        effects = session.receive(frame, now)

        for effect in effects:
            if isinstance(effect, Reply):
                _replies.validate(json.loads(effect.text))
                assert len(effect.text) < 1000
            elif isinstance(effect, Open):
                channels |= {wish.series for wish in effect.wishes}
            elif isinstance(effect, Shut):
                channels.remove(effect.series)
            elif isinstance(effect, Subscribe):
                lines.add(effect.series)
            elif isinstance(effect, Unsubscribe):
                lines.remove(effect.series)
            else:
                assert effect is effects[-1]
        assert (lines, channels) == (session.wanted.lines, set(session.wanted.channels))
        assert len(session.wanted) <= 2
        assert len(effects) <= 2 * 2 + 1
