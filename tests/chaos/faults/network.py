"""What networks do to a link between two programs."""

from collections.abc import Callable
from typing import ClassVar

from tests.chaos.cluster import Cluster
from tests.chaos.faults.base import Fault
from tests.chaos.proxy import Mode

#: Slow, but not down.
DELAY_SECONDS = 0.15
#: Less than what a run needs.
BYTES_PER_SECOND = 8_000.0
#: How many replies are lost at a time.
LOST_REPLIES = 3

#: Which requests change something, by service: a lost reply to these is what hurts. In MongoDB's protocol the name of
#: the command is text, in Redis' too; in Kafka's the bytes after a request's length are its kind (0: produce).
_CHANGES: dict[str, Callable[[bytes], bool]] = {
    "mongo": lambda request: b"update" in request or b"findAndModify" in request,
    "redis": lambda request: any(word in request for word in (b"EVALSHA", b"RPUSH", b"HSET")),
    "kafka": lambda request: request[4:6] in (b"\0\0", b"\0\x08"),  # produce, commit of offsets
}


class _LinkFault(Fault):
    seconds = (1.0, 8.0)
    mode: ClassVar[Mode]

    def begin(self, cluster: Cluster) -> None:
        """Change the link's mode."""
        cluster.proxies.set(self.target, self.mode, delay_seconds=DELAY_SECONDS, bytes_per_second=BYTES_PER_SECOND)

    def end(self, cluster: Cluster) -> None:
        """Let it pass everything again."""
        cluster.proxies.set(self.target, Mode.PASS)


class Cut(_LinkFault):
    """Connections are closed and new ones refused: the other side is restarting, or a firewall says no."""

    kind = "cut"
    mode = Mode.CUT


class Reset(_LinkFault):
    """Connections are reset (RST), new ones as well: a load balancer that forgot them."""

    kind = "reset"
    mode = Mode.RESET


class BlackHole(_LinkFault):
    """Nothing arrives and nothing is refused: a cable is out. What was sent arrives when it is back."""

    kind = "blackhole"
    mode = Mode.BLACK_HOLE


class Delay(_LinkFault):
    """Every chunk of bytes takes longer: another continent, a queue that stands."""

    kind = "delay"
    mode = Mode.DELAY


class Limit(_LinkFault):
    """Few bytes per second: a link that others fill."""

    kind = "limit"
    mode = Mode.LIMIT


class DropReply(Fault):
    """The other side did what was asked, and the answer is lost with the connection; some times in a row."""

    kind = "dropreply"
    seconds = (2.0, 6.0)

    def begin(self, cluster: Cluster) -> None:
        """Swallow the next replies to requests that change something."""
        service = self.target.partition("/")[2]
        cluster.proxies.drop_replies(self.target, LOST_REPLIES, _CHANGES[service])

    def end(self, cluster: Cluster) -> None:
        """Swallow no more."""
        cluster.proxies.drop_replies(self.target, 0)
