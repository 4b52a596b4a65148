"""``python -m web top``: all pairs as a table that lives, or as JSON lines once a second."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import Any, Final

from rich.console import Group
from rich.live import Live
from rich.text import Text

from ingest.candle import Interval
from web.client import AsyncClient, Refused, Unavailable, stream
from web.terminal.board import COLUMNS, Board, Key
from workers.console import Output, harmless, make_table

#: How often the table is drawn, JSON lines are written, and the day's first price is asked for (seconds).
DRAW_SECONDS: Final = 0.25
LINES_SECONDS: Final = 1.0
DAY_SECONDS: Final = 60.0
_DAY_MS: Final = Interval.D1.milliseconds


class Top:
    """The command while it runs.

    Args:
        output: Where the rows go.
        url, ws_url: Where the servers are.
        exchange: Only the pairs of this one; None: of all.
        count: End after the rows were shown so often; None: never.
    """

    def __init__(self, output: Output, url: str, ws_url: str, exchange: str | None, count: int | None) -> None:
        self._output, self._url, self._ws_url = output, url, ws_url
        self._exchange, self._count = exchange, count
        # What is in the way, below the table.
        self._trouble = ""

    async def run(self) -> None:
        """Show all pairs until `count` is reached.

        Raises:
            ClientError: If the servers refuse, or REST does not answer at the beginning.
        """
        async with AsyncClient(self._url) as rest:
            keys = await self._keys(rest)
            board = Board(keys)
            exchanges = dict.fromkeys(exchange for exchange, _ in keys)
            work = [self._follow(board, each, [pair for name, pair in keys if name == each]) for each in exchanges]
            await _until_first_ends([self._show(board), self._ask_for_days(rest, board, keys), *work])

    async def _keys(self, rest: AsyncClient) -> list[Key]:
        keys = [
            (each.exchange, each.pair)
            for each in await rest.pairs()
            if each.interval is Interval.M1 and self._exchange in (None, each.exchange)
        ]
        if not keys:
            whose = f" of {self._exchange}" if self._exchange else ""
            raise Refused("no_pairs", f"{self._url} has no pairs{whose}: expected an exchange that /api/pairs lists")
        return keys

    async def _follow(self, board: Board, exchange: str, pairs: list[str]) -> None:
        candles = stream(
            pairs,
            exchange=exchange,
            url=self._url,
            ws_url=self._ws_url,
            on_trouble=self._note_trouble,
            on_feed=board.take_feed,
        )
        async with aclosing(candles) as source:
            async for candle in source:
                self._trouble = ""
                board.take(candle, time.monotonic())

    async def _ask_for_days(self, rest: AsyncClient, board: Board, keys: list[Key]) -> None:
        while True:
            for exchange, pair in keys:
                try:
                    days = await rest.candles(pair, exchange=exchange, interval=Interval.D1.value, limit=1)
                except Unavailable as error:
                    self._note_trouble(str(error))
                    continue
                is_today = bool(days) and days[0].timestamp == _now_ms() // _DAY_MS * _DAY_MS
                board.take_day((exchange, pair), days[0].open if is_today else None)
            await asyncio.sleep(DAY_SECONDS)

    def _note_trouble(self, text: str) -> None:
        self._trouble = text
        if self._output.as_json:
            self._output.error(text)

    async def _show(self, board: Board) -> None:
        if self._output.as_json:
            await self._repeat(LINES_SECONDS, lambda: self._write_lines(board))
            return
        with Live(console=self._output.people, auto_refresh=False) as live:
            await self._repeat(DRAW_SECONDS, lambda: live.update(self._table(board), refresh=True))

    async def _repeat(self, seconds: float, show: Callable[[], None]) -> None:
        shown = 0
        while self._count is None or shown < self._count:
            await asyncio.sleep(seconds)
            show()
            shown += 1

    def _write_lines(self, board: Board) -> None:
        for row in board.rows(time.monotonic(), _now_ms()):
            self._output.line(row.record())

    def _table(self, board: Board) -> Group:
        rows = board.rows(time.monotonic(), _now_ms())
        return Group(make_table(COLUMNS, [row.cells() for row in rows]), Text(harmless(self._trouble), "yellow"))


async def _until_first_ends(work: list[Coroutine[Any, Any, None]]) -> None:
    """Carry all out side by side until one of them ends or fails; the others are cancelled."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
