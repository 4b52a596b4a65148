"""What a fault is."""

from abc import ABC, abstractmethod
from typing import ClassVar

import redis

from tests.chaos.cluster import Cluster


class Fault(ABC):
    """Something that goes wrong for a while, or at one moment; its class says what, ``target`` where.

    A fault object holds no state of a run but what `begin` hands to `end`.
    """

    kind: ClassVar[str]
    #: Shortest and longest time between `begin` and `end`, in seconds; both 0: there is nothing to end.
    seconds: ClassVar[tuple[float, float]] = (0.0, 0.0)
    #: Whether nothing else may go wrong meanwhile.
    alone: ClassVar[bool] = False
    #: Whether it is brought about by asking Redis, which another fault may have stopped.
    asks_redis: ClassVar[bool] = False

    def __init__(self, target: str) -> None:
        self.target = target

    @property
    def name(self) -> str:
        """``kind:target``, by which a run can ask for it."""
        return f"{self.kind}:{self.target}"

    def impossible(self, cluster: Cluster) -> str | None:
        """Why this machine cannot have this fault, None if it can."""
        return None

    def is_ready(self, cluster: Cluster) -> bool:
        """Whether it can begin now; else it is tried again in a moment, when another fault may be over."""
        return not self.asks_redis or _redis_answers(cluster)

    @abstractmethod
    def begin(self, cluster: Cluster) -> None:
        """Let it go wrong."""

    def end(self, cluster: Cluster) -> None:  # noqa: B027 - most faults of a moment end by themselves
        """Let it be right again."""


def _redis_answers(cluster: Cluster) -> bool:
    """Whether Redis does what it is asked, past every proxy; one that stands still takes connections all the same."""
    with redis.Redis.from_url(cluster.redis_url, socket_timeout=0.5, socket_connect_timeout=0.5, retry=None) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
