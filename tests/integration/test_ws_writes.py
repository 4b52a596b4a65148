"""What reaches a client's socket, and in how many writes; over a real connection, in one process."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosedError

from web.ws.client import JOIN_SECONDS, Client
from web.ws.frames import text_frame


class CountingTransport:
    """A transport that keeps what is written to it."""

    def __init__(self, transport: Any, now: Callable[[], float]) -> None:
        self._transport, self._now = transport, now
        self.writes: list[tuple[float, bytes]] = []

    def write(self, data: bytes) -> None:
        self.writes.append((self._now(), data))
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def with_client(scenario: Callable[[Client, CountingTransport, ClientConnection], Awaitable[None]]) -> None:
    """Run a scenario with the server's and the client's end of a connection."""

    async def run() -> None:
        connected: asyncio.Future[Client] = asyncio.get_running_loop().create_future()

        async def handle(connection: ServerConnection) -> None:
            assert isinstance(connection, Client)
            connected.set_result(connection)
            await connection.wait_closed()

        options: dict[str, Any] = {
            "made": lambda _: True,
            "lost": lambda _: None,
            "max_waiting_rows": 1000,
            "max_buffer_bytes": 262_144,
            "max_stall_seconds": 10.0,
        }
        create: Any = functools.partial(Client, **options)
        async with (
            serve(handle, "127.0.0.1", 0, create_connection=create, compression=None, ping_interval=None) as server,
            connect(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", proxy=None) as websocket,
        ):
            client = await connected
            transport = CountingTransport(client.transport, client.loop.time)
            client.transport = transport  # type: ignore[assignment]
            await scenario(client, transport, websocket)

    asyncio.run(run())


def frames(count: int) -> list[bytes]:
    return [text_frame(str(number).encode()) for number in range(count)]


def test_a_lone_frame_is_written_at_once() -> None:
    async def scenario(client: Client, transport: CountingTransport, _: ClientConnection) -> None:
        (frame,) = frames(1)
        client.offer("series", 0, frame)

        assert [data for _, data in transport.writes] == [frame]

    with_client(scenario)


def test_what_follows_closely_is_joined_into_one_write_and_no_version_is_left_out() -> None:
    async def scenario(client: Client, transport: CountingTransport, websocket: ClientConnection) -> None:
        many = frames(20)
        for frame in many:  # versions of the same candle
            client.offer("series", 0, frame)
        heard = [await websocket.recv() for _ in many]

        assert heard == [str(number) for number in range(20)]
        assert [data for _, data in transport.writes] == [many[0], b"".join(many[1:])]
        (first, _), (second, _) = transport.writes
        assert second - first >= JOIN_SECONDS * 0.9

    with_client(scenario)


def test_an_answer_is_written_at_once_behind_what_has_been_joined() -> None:
    async def scenario(client: Client, transport: CountingTransport, websocket: ClientConnection) -> None:
        one, two = frames(2)
        client.offer("series", 0, one)
        client.offer("series", 1, two)
        client.reply(b"answer")

        assert [data for _, data in transport.writes] == [one, two + text_frame(b"answer")]
        assert [await websocket.recv() for _ in range(3)] == ["0", "1", "answer"]

    with_client(scenario)


def test_nothing_follows_a_close_frame() -> None:
    async def scenario(client: Client, transport: CountingTransport, websocket: ClientConnection) -> None:
        for number, frame in enumerate(frames(3)):
            client.offer("series", number, frame)
        await client.close_or_cut_off(1008, "why")
        client.offer("series", 9, text_frame(b"late"))
        client.reply(b"late")
        heard = []
        with suppress(ConnectionClosedError):
            while True:
                heard.append(await websocket.recv())

        assert heard == ["0", "1", "2"]
        assert (websocket.close_code, websocket.close_reason) == (1008, "why")

    with_client(scenario)
