"""What `tail` writes."""

import asyncio
import json
from collections.abc import AsyncGenerator
from decimal import Decimal

import pytest

from ingest.candle import Candle, State
from tests.conftest import MINUTE_MS, make_candle
from web.terminal.tail import ReceivedLines, json_line, tail

CANDLE = make_candle(state=State.FINAL, close=Decimal("18382.060"))


def test_a_received_line_has_the_keys_of_the_line_protocol_in_their_order_and_every_digit() -> None:
    assert ReceivedLines()(CANDLE) == (
        f'RECEIVED: {{"pair":"BTC-USD","timestamp":{MINUTE_MS},"open":18383.38,"high":18385.85,"low":18376.035,'
        '"close":18382.060,"volume":0.002185}'
    )


@pytest.mark.parametrize(
    ("candle", "is_shown"),
    [
        (make_candle(1, state=State.FINAL), False),
        (make_candle(1, state=State.FINAL, close=Decimal("18380")), True),
        (make_candle(0, state=State.FINAL, close=Decimal("18380")), False),
        (make_candle(2), True),
        (make_candle(0, pair="ETH-USD"), True),
    ],
    ids=["the same values", "other values", "not the newest", "the next minute", "another pair"],
)
def test_received_lines_are_those_of_the_line_protocol(candle: Candle, is_shown: bool) -> None:
    show = ReceivedLines()
    show(make_candle(1))

    assert (show(candle) is not None) == is_shown


def test_a_json_line_has_everything_that_is_known() -> None:
    line = json.loads(json_line(CANDLE), parse_float=str)

    assert list(line) == list(Candle.__struct_fields__)
    assert (line["close"], line["state"], line["minutes"], line["rev"]) == ("18382.060", "final", 1, CANDLE.rev)


def test_it_ends_after_so_many_and_closes_its_source() -> None:
    closed, written = [], list[str]()

    async def source() -> AsyncGenerator[Candle, None]:
        try:
            for number in range(5):
                yield make_candle(number)
        finally:
            closed.append(True)

    asyncio.run(tail(source(), written.append, lambda candle: str(candle.timestamp - MINUTE_MS), 2))

    assert (written, closed) == (["0\n", "60000\n"], [True])
