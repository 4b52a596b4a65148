"""Middle layer: from Kafka through Dramatiq's workers into MongoDB and the live side in Redis.

The layer above may rely on this. A candle in the store or on the live side only moves forward by its ``rev``
(`workers.store`, `workers.live`). A Kafka offset is committed only after every row below it took effect
(`workers.bridge`), so whatever dies, what Kafka accepted arrives.

This is also what the command `dramatiq workers` imports: first the broker, then the actors that register with it.
Importing opens no socket and starts no thread.

Imports `ingest` and never `web`.
"""

import sys

import dramatiq

from ingest.errors import SettingsError
from workers.broker import make_broker
from workers.settings import Settings

try:
    _settings = Settings.from_env()
except SettingsError as error:
    # Whatever imports this is a process that cannot run with these settings, so it says so and ends here.
    print(*error.problems, sep="\n", file=sys.stderr)
    raise SystemExit(2) from None

dramatiq.set_broker(make_broker(_settings.redis_url, settings=_settings))

# After the broker: actors register with the broker that is set when they are defined.
from workers import fanout, larger_candles, persist  # noqa: E402

__all__ = ["fanout", "larger_candles", "persist"]
