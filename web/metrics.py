"""Every metric of this package.

Under gunicorn, and with several WebSocket processes, ``PROMETHEUS_MULTIPROC_DIR`` makes the processes share their
values through files, so that whichever process is asked answers for all. It must be set before this is imported.
"""

import os
import time

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# What the client library tells of a single process (``process_start_time_seconds``) it does not of several.
web_process_start_time_seconds = Gauge(
    "web_process_start_time_seconds",
    "When the newest of the processes behind this port started, Unix seconds; a restart of any of them raises it.",
    multiprocess_mode="max",
)
web_process_start_time_seconds.set(time.time())

rest_requests_total = Counter(
    "rest_requests_total", "Requests answered, by route, method and status.", ["route", "method", "status"]
)
rest_request_duration_seconds = Histogram(
    "rest_request_duration_seconds",
    "Time from the request's headers to its answer being ready, in seconds.",
    ["route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)
rest_refused_requests_total = Counter("rest_refused_requests_total", "Requests refused by the rate limit.")
rest_uncounted_requests_total = Counter(
    "rest_uncounted_requests_total", "Requests let through uncounted, because the rate limit's Redis did not answer."
)

ws_connections = Gauge("ws_connections", "WebSocket connections that are open.", multiprocess_mode="livesum")
ws_subscriptions = Gauge("ws_subscriptions", "Subscriptions of all connections.", multiprocess_mode="livesum")
ws_series = Gauge("ws_series", "Series that have a subscriber, per process added up.", multiprocess_mode="livesum")
ws_opened_total = Counter("ws_opened_total", "WebSocket connections that were opened.")
ws_refused_total = Counter("ws_refused_total", "Connections refused before the upgrade, by reason.", ["reason"])
ws_closed_total = Counter("ws_closed_total", "Connections that the server ended, by reason.", ["reason"])
ws_commands_total = Counter("ws_commands_total", "Frames received from clients, by outcome.", ["outcome"])
ws_rows_waiting = Gauge(
    "ws_rows_waiting", "Frames that wait in memory for clients that read too slowly.", multiprocess_mode="livesum"
)
ws_rows_offered_total = Counter("ws_rows_offered_total", "Candle frames owed to clients.")
ws_rows_replaced_total = Counter(
    "ws_rows_replaced_total", "Candle frames replaced by a newer version while they waited for a slow client."
)
ws_resumed_total = Counter(
    "ws_resumed_total",
    "Subscriptions that began with a client's cursor, by whether all since could be told.",
    ["recovered"],
)
ws_gaps_total = Counter("ws_gaps_total", "Ranges of a series in which changes may have gone by unseen.")

relay_messages_total = Counter("relay_messages_total", "Messages received from Redis channels.")
relay_bad_messages_total = Counter("relay_bad_messages_total", "Messages from Redis that could not be read.")
relay_rereads_total = Counter(
    "relay_rereads_total", "Reads of a series' whole window, by what made it necessary.", ["cause"]
)
relay_connected = Gauge(
    "relay_connected", "1 while the channels of the live side are being listened to.", multiprocess_mode="min"
)


def exposition() -> bytes:
    """The metrics of this process, or of all that share a directory, as Prometheus reads them."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
