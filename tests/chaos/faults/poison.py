"""What nobody may send, at every hop."""

import json
import sys
import uuid
from signal import SIGKILL, SIGUSR1, SIGUSR2

import redis
from confluent_kafka import Producer

from ingest.kafka import client_config
from ingest.revision import EPOCH_US, make_rev
from ingest.topics import CANDLES
from tests.chaos.cluster import Cluster
from tests.chaos.faults.base import Fault
from tests.chaos.keeper import wait_for
from workers.broker import NAMESPACE

_ANSWER_SECONDS = 10.0
#: A series that no exchange sends, so that what is readable among the poison disturbs nobody's candles.
_GOOD = {
    "v": 1,
    "exchange": "poison",
    "pair": "BTC-USD",
    "interval": "1m",
    "timestamp": 1_606_166_220_000,
    "open": 2,
    "high": 4,
    "low": 1,
    "close": 3,
    "volume": 5,
    "state": "open",
    "rev": make_rev(1, EPOCH_US + 1),
}


def _row(**fields: object) -> bytes:
    return json.dumps(_GOOD | fields).encode()


ROWS: tuple[bytes | None, ...] = (
    b"this is no JSON",
    b'{"v":1,"exchange":"poison"',
    b"\xff\xfe\xc3\x28 no UTF-8 \x80",
    _row(pair="BTC-USD").replace(b"BTC", b"B\xff\xfe"),
    _row(open=float("nan")),
    _row(open="NaN"),
    _row(high=float("inf")),
    _row(high=1, low=4),
    _row(close=-3),
    _row(open=10**40),
    _row(v=99),
    _row(timestamp=4_102_444_800_000),
    _row(rev=2**53 - 1),
    _row(state="certain"),
    _row(comment="x" * 1_000_000),
    b"[" * 100_000,
    b"",
    None,
)


class PoisonCandles(Fault):
    """Another program writes into ``candles``: no JSON, bad UTF-8, NaN, high below low, a row of a megabyte, …"""

    kind = "poison"

    def begin(self, cluster: Cluster) -> None:
        """Write all of it, into the partitions of good candles.

        Raises:
            RuntimeError: If Kafka does not take it.
        """
        producer = Producer(client_config(cluster.kafka_brokers) | {"message.max.bytes": 1_048_588})
        keys = [f"sim|{pair}|1m" for pair in ("BTC-USD", "ETH-EUR", "ADA-USD")]
        for number, row in enumerate(ROWS):
            producer.produce(CANDLES, row, keys[number % len(keys)])
        if left := producer.flush(_ANSWER_SECONDS):
            raise RuntimeError(f"{left} poisoned records were not taken")


#: Queue to an actor of it.
_ACTORS = {"persist": "persist_candles", "fanout": "publish_candles", "rollup": "roll_up_candles"}


class PoisonQueue(Fault):
    """Jobs in Redis that no worker can run: an actor that does not exist, arguments of another kind, no message."""

    kind = "poison"
    asks_redis = True

    def begin(self, cluster: Cluster) -> None:
        """Put them into every queue."""
        with redis.Redis.from_url(cluster.redis_url, socket_timeout=2) as client:
            for queue, actor in _ACTORS.items():
                for payload in (
                    _job(queue, "no_such_actor", []),
                    _job(queue, actor, [1, None]),
                    b"\xff\x00 no message",
                ):
                    number = uuid.uuid4().hex
                    client.hset(f"{NAMESPACE}:{queue}.msgs", number, payload.replace(b"ID", number.encode()))
                    client.rpush(f"{NAMESPACE}:{queue}", number)


def _job(queue: str, actor: str, arguments: list[object]) -> bytes:
    return json.dumps(
        {
            "queue_name": queue,
            "actor_name": actor,
            "args": arguments,
            "kwargs": {},
            "options": {"redis_message_id": "ID"},
            "message_id": "ID",
            "message_timestamp": 4_102_444_800_000,
        }
    ).encode()


class PoisonCompletions(Fault):
    """Completions that no worker sent: garbage, and claims about batches that do not exist."""

    kind = "poison"
    asks_redis = True

    def begin(self, cluster: Cluster) -> None:
        """Put them into the lists that bridges read."""
        with redis.Redis.from_url(cluster.redis_url, socket_timeout=2) as client:
            keys = [key.decode() for key in client.scan_iter("done:*")] + ["done:nobody"]
            for key in keys:
                claim = {"assignment_id": key.removeprefix("done:"), "partition": 0, "first": 0, "last": 10**9}
                garbage = [b"no JSON", b"\xff\xfe", b"[]", b'{"first":"a"}', json.dumps(claim).encode()]
                client.rpush(key, *garbage)


class PoisonExchange(Fault):
    """The exchange sends garbage among its frames: half ones, doubled ones, unknown kinds, impossible candles."""

    kind = "poison"
    seconds = (4.0, 8.0)

    def begin(self, cluster: Cluster) -> None:
        """Restart the simulated exchange as one that can misbehave, and let it."""
        cluster.run_as(self.target, (sys.executable, "-m", "tests.chaos.launch", "simulate"))
        cluster.restart(self.target, SIGKILL)
        wait_for("the exchange listens", lambda: cluster.answers(self.target), _ANSWER_SECONDS)
        cluster.keeper.signal(self.target, SIGUSR1)

    def end(self, cluster: Cluster) -> None:
        """Let it leave out a frame, then make it the usual one again."""
        cluster.keeper.signal(self.target, SIGUSR2)
        cluster.run_as_usual(self.target)
        cluster.restart(self.target, SIGKILL)
