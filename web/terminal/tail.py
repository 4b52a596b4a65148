"""``python -m web tail``: candles as they change, a line each."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from ingest.candle import Candle
from web.formats import encode_json
from web.ws.stream import encode_line


def received_line(candle: Candle) -> str:
    """A candle as a client of the line protocol would show the frame that it received."""
    return f"RECEIVED: {encode_line(candle).decode()}"


def json_line(candle: Candle) -> str:
    """Everything that is known of a candle; prices as exact numbers."""
    fields: dict[str, Any] = {name: getattr(candle, name) for name in candle.__struct_fields__}
    return encode_json(fields).decode()


async def tail(
    candles: AsyncGenerator[Candle, None],
    write: Callable[[str], None],
    show: Callable[[Candle], str],
    count: int | None,
) -> None:
    """Write a line for each candle, until ``count`` have been written; None: for ever."""
    left = count
    async with aclosing(candles) as source:
        async for candle in source:
            write(show(candle) + "\n")
            if left is not None:
                left -= 1
                if left <= 0:
                    return
