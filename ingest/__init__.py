"""Bottom layer: what a candle is, and how candles get from an exchange into Kafka.

The layers above may rely on three promises. Every candle in the topic ``candles`` is valid (`ingest.candle`).
Its ``rev`` was fixed once, by one writer, and never falls for a candle (`ingest.revision`, `ingest.closing`).
What the exchange sent and Kafka does not hold is named by a ``gap`` or ``lost`` event in the topic ``feeds``.

Imports neither `workers` nor `web`.
"""
