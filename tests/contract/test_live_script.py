"""The scripts of the live side, on a real Redis."""

# mypy: disable-error-code="no-untyped-call"
import time
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import cast

import pytest
import redis

from ingest.candle import Candle, State
from ingest.codec import encode_candle, encode_event
from ingest.events import EventKind, FeedEvent, FeedState
from tests.conftest import make_candle, minute
from workers.live import FEEDS, LiveSide, Published, Window, candles_channel, candles_key, parse_window

WINDOW = 3


@pytest.fixture
def client(redis_url: str) -> Iterator["redis.Redis"]:
    """A connection that is closed afterwards."""
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def pair(client: "redis.Redis") -> Iterator[str]:
    """A pair that this test alone uses."""
    name = f"T{uuid.uuid4().hex[:10].upper()}-USD"
    yield name
    client.delete(f"live:{{sim|{name}|1m}}")


@pytest.fixture
def live(client: "redis.Redis") -> LiveSide:
    """The live side with a small window."""
    return LiveSide(client, WINDOW)


def now_us() -> int:
    return time.time_ns() // 1000


def publish(live: LiveSide, candle: Candle) -> Published:
    return live.publish(candle, encode_candle(candle))


def window_of(client: "redis.Redis", candle: Candle) -> Window:
    window = parse_window(cast("dict[bytes, bytes]", client.hgetall(candles_key(candle.series))))
    assert window is not None
    return window


def epoch_of(client: "redis.Redis", candle: Candle) -> str:
    """The epoch in a series' hash, which has to be one of this run of the server."""
    epoch = window_of(client, candle).epoch
    assert epoch.startswith(client.info("server")["run_id"][:16] + "-")
    return epoch


def test_stores_a_candle_and_publishes_it_with_its_cursor(client: "redis.Redis", live: LiveSide, pair: str) -> None:
    candle = make_candle(pair=pair, written_us=now_us())
    with client.pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.subscribe(candles_channel(candle.series))
        pubsub.get_message(timeout=1)

        result = publish(live, candle)

        message = pubsub.get_message(timeout=2)
    epoch = epoch_of(client, candle)
    assert result is Published.PUBLISHED
    assert message is not None
    assert message["data"] == f'{{"cursor":"{epoch}:1","candle":{encode_candle(candle).decode()}}}'.encode()
    assert window_of(client, candle) == Window(epoch, 1, 0, [(1, candle)])


def test_only_a_higher_rev_replaces_a_candle(client: "redis.Redis", live: LiveSide, pair: str) -> None:
    now = now_us()
    older = make_candle(pair=pair, written_us=now - 10)
    newer = make_candle(pair=pair, written_us=now, close=Decimal("18380"))
    surer = make_candle(pair=pair, written_us=now - 20, state=State.FINAL)

    results = [publish(live, each) for each in (newer, older, newer, surer, newer)]

    assert results == [
        Published.PUBLISHED,
        Published.NOT_NEWER,
        Published.NOT_NEWER,
        Published.PUBLISHED,
        Published.NOT_NEWER,
    ]
    assert window_of(client, newer).candles == [(2, surer)]


def test_revs_that_differ_by_one_are_told_apart(client: "redis.Redis", live: LiveSide, pair: str) -> None:
    """Their lowest bit is the 53rd: a detour over a float of Lua or over cjson would lose it."""
    top = make_candle(pair=pair, state=State.CORRECTED, rev=(4 << 50) + (1 << 50) - 2)
    above = make_candle(pair=pair, state=State.CORRECTED, rev=(4 << 50) + (1 << 50) - 1)

    results = [bool(publish(live, each)) for each in (top, above, top)]

    assert results == [True, True, False]


def test_prices_keep_every_digit(client: "redis.Redis", live: LiveSide, pair: str) -> None:
    price = Decimal("0.1234567890123456789012345678")
    candle = make_candle(pair=pair, open=price, high=price, low=price, close=price)

    publish(live, candle)

    assert window_of(client, candle).candles == [(1, candle)]


def test_trims_the_oldest_and_remembers_what_that_hides(client: "redis.Redis", live: LiveSide, pair: str) -> None:
    candles = [make_candle(number, pair=pair) for number in (1, 0, 2, 3, 4)]

    for each in candles:
        publish(live, each)

    # Minute 1 was change 1, minute 0 change 2: both are gone, so cursors below 2 cannot be continued.
    expected = [(3, candles[2]), (4, candles[3]), (5, candles[4])]
    assert window_of(client, candles[0])[1:] == (5, 2, expected)


def test_a_smaller_window_trims_at_once(client: "redis.Redis", live: LiveSide, pair: str) -> None:
    for number in range(WINDOW):
        publish(live, make_candle(number, pair=pair))
    last = make_candle(WINDOW, pair=pair)

    publish(LiveSide(client, 1), last)

    assert window_of(client, last)[1:] == (4, 3, [(4, last)])


def test_ignores_what_is_older_than_the_window(client: "redis.Redis", live: LiveSide, pair: str) -> None:
    for number in (1, 2, 3):
        publish(live, make_candle(number, pair=pair))

    result = publish(live, make_candle(0, pair=pair))

    window = window_of(client, make_candle(pair=pair))
    assert (result, window.seq) == (Published.TOO_OLD, 3)
    assert [candle.timestamp for _, candle in window.candles] == [minute(1), minute(2), minute(3)]


def test_old_news_is_stored_and_not_published(client: "redis.Redis", live: LiveSide, pair: str) -> None:
    old = make_candle(pair=pair, written_us=now_us() - 6_000_000)
    fresh = make_candle(pair=pair, written_us=now_us())
    with client.pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.subscribe(candles_channel(old.series))
        pubsub.get_message(timeout=1)

        results = [publish(live, old), publish(live, fresh)]

        message = pubsub.get_message(timeout=2)
    assert results == [Published.STORED_QUIETLY, Published.PUBLISHED]
    assert message is not None
    assert f'"cursor":"{epoch_of(client, fresh)}:2"'.encode() in message["data"]


def test_a_hash_of_another_epoch_goes_on_in_a_new_one(client: "redis.Redis", live: LiveSide, pair: str) -> None:
    candle, later = make_candle(0, pair=pair), make_candle(1, pair=pair)
    publish(live, candle)
    client.hset(candles_key(candle.series), "epoch", "restored")

    publish(live, later)

    assert window_of(client, candle) == Window(epoch_of(client, candle), 2, 0, [(1, candle), (2, later)])


def test_an_emptied_hash_counts_again_in_another_epoch(client: "redis.Redis", live: LiveSide, pair: str) -> None:
    candle = make_candle(pair=pair)
    publish(live, candle)
    before = epoch_of(client, candle)
    publish(live, make_candle(1, pair=pair))
    kept = epoch_of(client, candle)
    client.delete(candles_key(candle.series))

    publish(live, candle)

    assert kept == before
    assert window_of(client, candle) == Window(epoch_of(client, candle), 1, 0, [(1, candle)])
    assert epoch_of(client, candle) != before


def test_many_at_once_are_published_in_order(client: "redis.Redis", live: LiveSide, pair: str) -> None:
    candles = [make_candle(number, pair=pair, written_us=now_us()) for number in (0, 1, 1)]
    # What is stored as a script is forgotten by a restart; the next batch brings it again.
    client.script_flush()

    results = live.publish_all([(each, encode_candle(each)) for each in candles])

    assert results == [Published.PUBLISHED] * 3
    assert window_of(client, candles[0]).candles == [(1, candles[0]), (3, candles[2])]


def test_no_candles_are_no_work(live: LiveSide) -> None:
    assert live.publish_all([]) == []


def test_events_move_forward_by_their_time(client: "redis.Redis", live: LiveSide) -> None:
    exchange = f"t{uuid.uuid4().hex[:10]}"
    reason = 'said "at":99999999999999'
    older, newer = (
        FeedEvent(exchange, EventKind.BEAT, FeedState.LIVE, since=1, at=at, reason=reason) for at in (1000, 2000)
    )
    with client.pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.subscribe(FEEDS)
        pubsub.get_message(timeout=1)

        results = [live.publish_event(each, encode_event(each)) for each in (older, newer, newer, older)]

        heard = [pubsub.get_message(timeout=2), pubsub.get_message(timeout=2), pubsub.get_message(timeout=0.1)]
    held = client.hget(FEEDS, exchange)
    client.hdel(FEEDS, exchange)
    assert results == [Published.PUBLISHED, Published.PUBLISHED, Published.NOT_NEWER, Published.NOT_NEWER]
    assert [message and message["data"] for message in heard] == [encode_event(older), encode_event(newer), None]
    assert held == encode_event(newer)
