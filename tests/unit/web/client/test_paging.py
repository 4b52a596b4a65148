"""Which requests lead through a range."""

import json
from typing import Any

import pytest

from ingest.candle import Candle
from tests.conftest import make_candle, minute
from web.answers import KnownSeries
from web.client.errors import NotUnderstood, Refused
from web.client.paging import Paging, Range, read_pairs, refusal
from web.formats import encode_json

RANGE = Range(pair="BTC-USD")


def page_of(candles: list[Candle], following: int | None) -> bytes:
    return encode_json({"page": None, "next": following, "as_of": None, "candles": candles})


def test_a_page_leads_to_the_next() -> None:
    paging = Paging(Range(pair="BTC-USD", exchange="sim", interval="5m", since_ms=1, until_ms=9, finals_only=True))
    first = paging.parameters()
    candles = paging.take(page_of([make_candle(0)], minute(0)))
    second = paging.parameters()
    assert not paging.done
    paging.take(page_of([], None))

    assert first == {
        "pair": "BTC-USD",
        "exchange": "sim",
        "interval": "5m",
        "from": "1",
        "to": "9",
        "state": "final",
        "format": "json",
        "order": "asc",
        "limit": "10000",
    }
    assert second == first | {"page": str(minute(0))}
    assert candles == [make_candle(0)]
    assert paging.done


def test_a_limit_ends_the_pages_and_shortens_the_last() -> None:
    paging, limits = Paging(RANGE, limit=3, page_size=2, newest_first=True), []

    for count in (2, 1):
        limits.append(paging.parameters()["limit"])
        paging.take(page_of([make_candle(number) for number in range(count)], minute(0)))

    assert limits == ["2", "1"]
    assert paging.done


def test_a_limit_of_nothing_asks_nothing() -> None:
    assert Paging(RANGE, limit=0).done


def test_the_list_of_pairs_is_read() -> None:
    series = [{"exchange": "sim", "pair": "BTC-USD", "interval": "1m", "earliest": None, "newest": 60_000}]

    (read,) = read_pairs(json.dumps(series).encode())

    assert isinstance(read, KnownSeries)
    assert (read.pair, read.earliest, read.newest) == ("BTC-USD", None, 60_000)


@pytest.mark.parametrize("body", [b"<html>", b"{}", b"\xff"])
def test_what_is_not_an_answer_of_this_server_is_said_to_be_so(body: bytes) -> None:
    with pytest.raises(NotUnderstood):
        Paging(RANGE).take(body)
    with pytest.raises(NotUnderstood):
        read_pairs(body)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (
            {"detail": "pair X is not known", "code": "unknown_pair", "status": 404},
            Refused("unknown_pair", "pair X is not known"),
        ),
        ({"error": "no"}, NotUnderstood("/api/candles", "status 404 without a reason")),
    ],
)
def test_a_refusal_carries_the_servers_own_sentence(body: dict[str, Any], error: Exception) -> None:
    made = refusal(404, "/api/candles", json.dumps(body).encode())

    assert (type(made), made.args) == (type(error), error.args)
