"""Who is there: what each running program says of itself every other second, in the live side's Redis.

One field of one hash per process, with Redis' own time, so that the clocks of machines need not agree. A process that
ends takes its field away; one that was killed or stands still leaves it to grow old. Nothing is decided by it: it is
for people who look.
"""

import logging
import os
import socket
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, Self, cast

import msgspec
import redis

from workers.outage import Outage

logger = logging.getLogger(__name__)

#: Hash of program and ``host:pid`` to what that process says.
PROGRAMS: Final = "live.programs"
BEAT_SECONDS: Final = 2.0
#: Who has said nothing for so long is forgotten (milliseconds).
FORGOTTEN_AFTER_MS: Final = 10 * 60 * 1000
_STOP_SECONDS: Final = 2.0


class Program(msgspec.Struct, omit_defaults=True):
    """What a process says of itself. Times are Unix milliseconds, by Redis' clock."""

    program: str
    #: ``host:pid``.
    instance: str
    started: int
    at: int
    #: Of bridges: how many partitions are assigned to it, and how many there are; None while Kafka does not say.
    assigned: int = 0
    partitions: int | None = None
    #: Of bridges: records of the assigned partitions that have not taken effect; None while it is not known.
    lag: int | None = None
    #: Of bridges: records read that have not taken effect.
    in_flight: int | None = None
    #: Of bridges: whether reading pauses because too much is in flight.
    paused: bool = False
    #: Of bridges: whether no worker answers, so that the bridge applies batches itself.
    without_workers: bool = False
    #: Of the bridge that writes them: records in the dead-letter topic.
    dead_letters: int | None = None
    #: Of WebSocket servers: connected clients.
    clients: int | None = None

    @property
    def field(self) -> str:
        """Its name in the hash; containers that share a host's name may all be process 1."""
        return f"{self.program} {self.instance}"


#: Fills in what changes: lag and the like.
Describe = Callable[[Program], None]


class Presence:
    """Says every `BEAT_SECONDS` that this process is there, from a thread of its own, until it is closed."""

    def __init__(self, program: str, client: "redis.Redis", describe: Describe = lambda program: None) -> None:
        """``client`` is the live side's; ``describe`` is called in the thread before each beat."""
        self._client, self._describe = client, describe
        self._said = Program(program, f"{socket.gethostname()}:{os.getpid()}", started=0, at=0)
        self._outage = Outage(logger, "the live side, told who is there,")
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Say that this process ends; gives up soon when Redis does not answer."""
        self._closing.set()
        self._thread.join(_STOP_SECONDS)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        while True:
            try:
                if self._closing.is_set():
                    self._client.hdel(PROGRAMS, self._said.field)
                    return
                self._beat()
                self._outage.answered()
            except redis.RedisError as error:
                self._outage.failed(error)
                if self._closing.is_set():
                    return
            except Exception:
                logger.exception("cannot say how this process is, trying again")
            self._closing.wait(BEAT_SECONDS)

    def _beat(self) -> None:
        now = redis_now_ms(self._client)
        self._said.started = self._said.started or now
        self._said.at = now
        self._describe(self._said)
        self._client.hset(PROGRAMS, self._said.field, msgspec.json.encode(self._said))
        forgotten = [each.field for each in read_programs(self._client) if now - each.at > FORGOTTEN_AFTER_MS]
        if forgotten:
            self._client.hdel(PROGRAMS, *forgotten)


def redis_now_ms(client: "redis.Redis") -> int:
    """Redis' clock, Unix milliseconds; raises `redis.RedisError`."""
    seconds, microseconds = client.time()
    return seconds * 1000 + microseconds // 1000


_decoder: Final = msgspec.json.Decoder(Program)


def read_programs(client: "redis.Redis") -> list[Program]:
    """What every process said last, by program, the oldest first; what cannot be read is left out.

    Raises:
        RedisError: If Redis does not answer.
    """
    texts = cast("Mapping[bytes, bytes]", client.hgetall(PROGRAMS))
    programs = []
    for text in texts.values():
        try:
            programs.append(_decoder.decode(text))
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
    return sorted(programs, key=lambda each: (each.program, each.started, each.instance))
