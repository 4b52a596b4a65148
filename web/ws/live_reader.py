"""Reads of the live side, many series at a time; every method raises what redis-py raises if it does not answer."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from ingest.candle import Series
from web.ws.stream import Cursor
from workers.live import FEEDS, Window, candles_key, parse_window

#: One read, or one attempt to connect (seconds).
TIMEOUT_SECONDS: Final = 2.0


class LiveReader:
    """The connections to the live side."""

    def __init__(self, url: str) -> None:
        self.client = redis.asyncio.Redis.from_url(
            url,
            protocol=2,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            # One more try, because an idle connection may have been closed by a restart; our own loops do the rest.
            retry=Retry(NoBackoff(), 1),
        )

    async def windows(self, all_series: Iterable[Series]) -> list[Window | None]:
        """The window of each series; None where there is none."""
        return [parse_window(fields) for fields in await self._ask("HGETALL", all_series)]

    async def counters(self, all_series: Iterable[Series]) -> list[Cursor | None]:
        """How far each series is; None where there is nothing."""
        return [_parse_counters(reply) for reply in await self._ask("HMGET", all_series, "epoch", "seq")]

    async def events(self) -> list[bytes]:
        """The newest event of each exchange's feed, as it is stored."""
        async with self.client.pipeline(transaction=False) as pipeline:
            pipeline.execute_command("HGETALL", FEEDS)
            with ends_while_written_to():
                (answer,) = await pipeline.execute()
        return list(answer.values())

    async def _ask(self, command: str, all_series: Iterable[Series], *arguments: str) -> list[Any]:
        async with self.client.pipeline(transaction=False) as pipeline:
            for series in all_series:
                pipeline.execute_command(command, candles_key(series), *arguments)
            with ends_while_written_to():
                return await pipeline.execute()


@contextmanager
def ends_while_written_to() -> Iterator[None]:
    """Call a connection lost that its reader lets go of while somebody else is about to write.

    redis-py then finds no writer where it looked for one a moment before, and says so with an AttributeError; or one
    whose socket is closed, of which uvloop says so with a RuntimeError.
    """
    try:
        yield
    except (AttributeError, RuntimeError) as error:
        raise redis.ConnectionError("the connection ended while it was written to") from error


def goes_on() -> bool:
    """Whether the running task has not been cancelled; every loop around questions to Redis asks before it goes on.

    redis-py writes under `asyncio.wait_for`, which until Python 3.12 swallows a cancellation that comes just as it
    finishes (https://github.com/python/cpython/issues/86296): the server then waited for ever for its own tasks.
    """
    task = asyncio.current_task()
    return task is not None and not task.cancelling()


def _parse_counters(reply: list[bytes | None]) -> Cursor | None:
    epoch, seq = reply
    if epoch is None or seq is None or not seq.isdigit():
        return None
    return epoch.decode(errors="replace"), int(seq)
