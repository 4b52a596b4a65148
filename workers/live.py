"""The live side in Redis: publish candles and feed events, read what is held, names of keys and channels.

Each series is a hash of its newest candles and a channel of changes. Everything in it can be lost and is built again
from what comes next; nobody is promised more than "the newest state, soon". A change has a cursor, ``epoch:seq``:
within one epoch (one life of the hash in one run of the Redis server) ``seq`` counts the series' changes without a
gap, so a reader that sees it jump has missed something and reads the hash again.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import redis

from ingest import revision
from ingest.candle import Candle, Interval, Series
from ingest.codec import decode_candle
from ingest.errors import DecodeError
from ingest.events import FeedEvent

#: Hash exchange -> newest feed event, and the channel that gets each.
FEEDS: Final = "live.feeds"

#: A candle whose ``rev`` is older than this is stored and not published: a replay after an outage must not flood
#: clients with the past.
QUIET_AFTER_MS: Final = 5000

_CANDLE_SCRIPT: Final = (Path(__file__).parent / "live.lua").read_text()
_EVENT_SCRIPT: Final = (Path(__file__).parent / "live_event.lua").read_text()


def candles_key(series: Series) -> str:
    """The hash of a series' newest candles; the literal braces make the series one slot of a cluster."""
    return f"live:{{{series.key}}}"


def candles_channel(series: Series) -> str:
    """The channel of a series' changes."""
    return f"live.ch:{{{series.key}}}"


#: The pattern of all those channels.
CHANNELS: Final = "live.ch:*"


def channel_series(name: bytes) -> Series | None:
    """The series of a channel; None if it is not one of ours."""
    try:
        exchange, pair, interval = name.decode().removeprefix("live.ch:{").removesuffix("}").split("|")
        return Series(exchange, pair, Interval(interval))
    except ValueError:
        return None


class Published(IntEnum):
    """What became of a candle or an event; false if nothing changed."""

    NOT_NEWER = 0
    PUBLISHED = 1
    STORED_QUIETLY = 2  # too old to be news
    TOO_OLD = 3  # older than the window: history reaches clients by REST

    def __bool__(self) -> bool:
        return self in (Published.PUBLISHED, Published.STORED_QUIETLY)


class LiveSide:
    """Publishes to the live side; reads belong to the WebSocket server (`parse_window`).

    Every method raises `redis.RedisError` if Redis does not answer; repeating is harmless.
    """

    def __init__(self, client: "redis.Redis", window: int) -> None:
        self._client = client
        self._window = window
        self._candle_script = client.register_script(_CANDLE_SCRIPT)
        self._event_script = client.register_script(_EVENT_SCRIPT)

    def publish(self, candle: Candle, text: bytes | str) -> Published:
        """Publish a candle if it is newer than what is held; ``text`` is `encode_candle(candle)`, unchanged."""
        return Published(int(self._candle_script(**self._arguments(candle, text))))

    def publish_all(self, candles: Sequence[tuple[Candle, bytes | str]]) -> list[Published]:
        """`publish` for many, in order, in one round trip or two."""
        if len(candles) == 1:
            return [self.publish(*candles[0])]
        with self._client.pipeline(transaction=False) as pipeline:
            for candle, text in candles:
                self._candle_script(**self._arguments(candle, text), client=pipeline)
            return [Published(int(result)) for result in pipeline.execute()]

    def publish_event(self, event: FeedEvent, text: bytes | str) -> Published:
        """Publish an event if it is not older than what is held; ``text`` is `encode_event(event)`, unchanged."""
        return Published(int(self._event_script(keys=[FEEDS], args=[event.exchange, event.at, text])))

    def _arguments(self, candle: Candle, text: bytes | str) -> dict[str, Any]:
        series, made_ms = candle.series, revision.time_ms_of(candle.rev)
        channel = candles_channel(series)
        args = [candle.timestamp, candle.rev, made_ms, text, self._window, channel, QUIET_AFTER_MS]
        return {"keys": [candles_key(series)], "args": args}


class Window(NamedTuple):
    """A series' hash, read at one moment: cursors of ``epoch`` from ``floor`` up to ``seq`` can be continued."""

    epoch: str
    seq: int
    floor: int
    #: Oldest open time first, each with the ``seq`` of its last change.
    candles: list[tuple[int, Candle]]


class _Numbered(msgspec.Struct):
    seq: int


_numbered_decoder = msgspec.json.Decoder(_Numbered)


def parse_window(fields: Mapping[bytes, bytes]) -> Window | None:
    """Read what ``HGETALL`` of a series' hash returned, as bytes; None if it is empty or lacks its counters.

    A field that no version of ours wrote is left out.
    """
    try:
        epoch, seq, floor = fields[b"epoch"].decode(), int(fields[b"seq"]), int(fields.get(b"floor", b"0"))
    except (KeyError, ValueError):
        return None
    return Window(epoch, seq, floor, sorted(_candles(fields), key=lambda numbered: numbered[1].timestamp))


def _candles(fields: Mapping[bytes, bytes]) -> Iterable[tuple[int, Candle]]:
    for name, text in fields.items():
        if name.isdigit():
            try:
                yield _numbered_decoder.decode(text).seq, decode_candle(text)
            except (DecodeError, msgspec.DecodeError):
                continue
