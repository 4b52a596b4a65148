"""Where the stream of one pair begins, and what it asks REST for."""

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from ingest.candle import Candle
from tests.conftest import make_candle, minute
from web.client.inbox import Inbox
from web.client.paging import Paging, Range
from web.client.rest import AsyncClient
from web.client.series import EveryVersion, Reading


class Rest:
    """A store that has nothing, and knows what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []

    async def page(self, paging: Paging) -> list[Candle]:
        self.asked.append(paging.parameters())
        return paging.take(b'{"page":null,"next":null,"as_of":0,"candles":[]}')


class Told(Inbox):
    """Keeps what it was ever given."""

    def __init__(self) -> None:
        super().__init__()
        self.candles: list[Candle] = []

    def put(self, candle: Candle) -> None:
        self.candles.append(candle)
        super().put(candle)


async def follow(happens: Callable[[EveryVersion], None], rest: Rest) -> list[Candle]:
    """What a stream without history tells after this."""
    told = Told()
    follower = EveryVersion(Reading(cast("AsyncClient", rest), Range(pair="BTC-USD"), pytest.fail), told, None)
    running = asyncio.create_task(follower.run())
    happens(follower)
    for _ in range(20):  # turns of the loop, in which it does what it can
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):  # and nothing else went wrong in it
        await running
    return told.candles


def test_a_stream_that_was_told_nothing_yet_missed_nothing() -> None:
    rest = Rest()

    def happens(follower: EveryVersion) -> None:
        follower.subscribed()
        follower.heard([], is_snapshot=True)
        follower.subscribed()  # on another connection
        follower.missed(0, None)
        follower.heard([make_candle(number) for number in range(3)], is_snapshot=True)

    assert asyncio.run(follow(happens, rest)) == [make_candle(2)]
    assert rest.asked == []


def test_what_was_missed_is_asked_for_from_where_the_stream_begins() -> None:
    rest = Rest()

    def happens(follower: EveryVersion) -> None:
        follower.subscribed()
        follower.heard([make_candle(5)], is_snapshot=True)
        follower.missed(0, None)
        follower.heard([make_candle(number) for number in range(8)], is_snapshot=True)

    assert asyncio.run(follow(happens, rest)) == [make_candle(number) for number in (5, 6, 7)]
    assert [asked["from"] for asked in rest.asked] == [str(minute(5))]


def test_a_correction_of_what_opened_before_the_stream_began_is_told() -> None:
    def happens(follower: EveryVersion) -> None:
        follower.heard([make_candle(5)], is_snapshot=True)
        follower.heard([make_candle(4)], is_snapshot=False)

    assert asyncio.run(follow(happens, Rest())) == [make_candle(5), make_candle(4)]
