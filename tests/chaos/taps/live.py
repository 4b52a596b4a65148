"""What the live side publishes and holds, heard and read by ourselves, without a proxy between."""

import time
from typing import Any, Final

import redis

from tests.chaos.evidence import LargerKey, Published, StoredCandle
from tests.chaos.taps.tap import Tap
from tests.chaos.versions import parse_exact, values_of

_CHANNELS: Final = "live.ch:*|1m}"
_LARGER_KEYS: Final = "live:{*|*|*}"
_WAIT_SECONDS: Final = 0.2
_AWAY_SECONDS: Final = 0.2


class LiveTap(Tap):
    """Listens to every series of minutes; what it misses while Redis is away shows as a hole in the numbers."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._client: Any = redis.Redis.from_url(url, socket_timeout=2.0, socket_connect_timeout=2.0)
        self.messages: list[Published] = []

    def look(self) -> None:
        """Listen on one connection until it ends."""
        pubsub = self._client.pubsub(ignore_subscribe_messages=True)
        try:
            pubsub.psubscribe(_CHANNELS)
            while not self.stopping:
                message = pubsub.get_message(timeout=_WAIT_SECONDS)
                if message is not None:
                    self.messages.append(_published(message["data"]))
        except redis.RedisError:
            self.rest(_AWAY_SECONDS)
        finally:
            pubsub.close()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def larger_candles(url: str) -> dict[LargerKey, StoredCandle]:
    """Every larger candle that the live side holds.

    Raises:
        redis.RedisError: If Redis does not answer.
    """
    found: dict[LargerKey, StoredCandle] = {}
    client: Any = redis.Redis.from_url(url, socket_timeout=2.0, socket_connect_timeout=2.0)
    with client:
        for key in client.scan_iter(_LARGER_KEYS, count=1000):
            for open_time, text in client.hgetall(key).items():
                if open_time.isdigit():
                    row = parse_exact(text)
                    place = (row["exchange"], row["pair"], row["interval"], int(open_time))
                    if row["interval"] != "1m":
                        found[place] = StoredCandle(row["rev"], row["state"], values_of(row), row.get("minutes", 1))
    return found


def _published(data: bytes) -> Published:
    message = parse_exact(data)
    epoch, _, number = message["cursor"].rpartition(":")
    candle = message["candle"]
    key = (candle["exchange"], candle["pair"], candle["timestamp"])
    return Published(time.time(), epoch, int(number), key, candle["rev"], values_of(candle))
