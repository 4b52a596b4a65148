"""``python -m web tail``: candles as they change, a line each."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from ingest.candle import Candle, Series
from web.formats import encode_json
from web.ws.stream import Stream, encode_line


class ReceivedLines:
    """What a client of the line protocol would show: of each pair's newest candle every change of its values."""

    def __init__(self) -> None:
        self._streams: dict[Series, Stream] = {}

    def __call__(self, candle: Candle) -> str | None:
        """The line, None if that protocol sends none."""
        stream = self._streams.setdefault(candle.series, Stream(candle.series))
        return f"RECEIVED: {encode_line(candle).decode()}" if stream.absorb([candle]) else None


def json_line(candle: Candle) -> str:
    """Everything that is known of a candle; prices as exact numbers."""
    fields: dict[str, Any] = {name: getattr(candle, name) for name in candle.__struct_fields__}
    return encode_json(fields).decode()


async def tail(
    candles: AsyncGenerator[Candle, None],
    write: Callable[[str], None],
    show: Callable[[Candle], str | None],
    count: int | None,
) -> None:
    """Write the lines that candles are shown as, until ``count`` have been written; None: for ever."""
    left = count
    async with aclosing(candles) as source:
        async for candle in source:
            line = show(candle)
            if line is None:
                continue
            write(line + "\n")
            if left is not None:
                left -= 1
                if left <= 0:
                    return
