"""Middle layer: from Kafka through Dramatiq's workers into MongoDB and the live side in Redis.

The layer above may rely on this. A candle in the store or on the live side only moves forward by its ``rev``
(`workers.store`, `workers.live`). A Kafka offset is committed only after every row below it took effect
(`workers.bridge`), so whatever dies, what Kafka accepted arrives.

Imports `ingest` and never `web`.
"""
