"""How a worker tells a bridge that a batch took effect: one Redis list per partition assignment.

A completion may be lost like everything in Redis; the batch is then repeated, which changes nothing.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Final, cast

import msgspec
import redis

from workers.outage import Outage

logger = logging.getLogger(__name__)

#: A bridge that is gone will never read its list.
EXPIRES_SECONDS: Final = 600
#: How long the reader waits in Redis; a new assignment is noticed within it.
_WAIT_SECONDS: Final = 0.5
_MAX_TAKEN: Final = 1000


class Completion(msgspec.Struct, frozen=True):
    """Every row of one batch was applied, is not newer, or is refused for itself: ``refused`` = (offset, reason)."""

    assignment_id: str
    partition: int
    first: int
    last: int
    refused: list[tuple[int, str]] = []


_decoder = msgspec.json.Decoder(Completion)


def completions_key(assignment_id: str) -> str:
    """The list of one assignment's completions."""
    return f"done:{assignment_id}"


def push_completion(client: "redis.Redis", completion: Completion) -> None:
    """Tell the bridge; raises `redis.RedisError` if Redis does not take it."""
    key = completions_key(completion.assignment_id)
    with client.pipeline(transaction=True) as pipeline:
        pipeline.rpush(key, msgspec.json.encode(completion))
        pipeline.expire(key, EXPIRES_SECONDS)
        pipeline.execute()


class CompletionReader:
    """A thread that takes completions from Redis and hands them to ``into``, many per wake-up."""

    def __init__(self, client: "redis.Redis", into: "Callable[[Completion], None]") -> None:
        self._client = client
        self._into = into
        self._keys: Sequence[str] = ()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="completions", daemon=True)

    def start(self) -> None:
        """Start reading."""
        self._thread.start()

    def stop(self) -> None:
        """Stop soon; what is unread is lost, which costs a repeat."""
        self._stopping.set()

    def watch(self, assignment_ids: Iterable[str]) -> None:
        """Read the lists of these assignments from now on, and no others."""
        self._keys = [completions_key(each) for each in assignment_ids]

    def _run(self) -> None:
        outage = Outage(logger, "Redis for completions")
        while not self._stopping.is_set():
            keys = self._keys
            if not keys:
                self._stopping.wait(0.05)
                continue
            try:
                self._read(keys)
            except redis.RedisError as error:
                outage.failed(error)
                self._stopping.wait(_WAIT_SECONDS)
            else:
                outage.answered()

    def _read(self, keys: Sequence[str]) -> None:
        popped = self._client.blpop(list(keys), timeout=_WAIT_SECONDS)
        if popped is None:
            return
        self._take(cast("bytes", popped[1]))
        with self._client.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.lpop(key, _MAX_TAKEN)
            for texts in pipeline.execute():
                for text in texts or ():
                    self._take(text)

    def _take(self, text: bytes) -> None:
        try:
            self._into(_decoder.decode(text))
        except msgspec.DecodeError as error:
            logger.warning("unreadable completion", extra={"reason": str(error), "text": repr(text[:80])})
