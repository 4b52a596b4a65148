"""``python -m workers bridge``: one bridge as a process, from its signals to its exit status."""

import logging
import os
import signal
import sys
import threading
from typing import Final

from confluent_kafka import KafkaException
from prometheus_client import REGISTRY

from ingest.clock import Clock
from ingest.health import Progress, serve_health, start_watchdog
from ingest.topics import ensure_topics
from ingest.waiting import StoppedWaiting, wait_for
from workers.bridge import Bridge
from workers.bridge_report import describe
from workers.broker import make_broker
from workers.clients import redis_client
from workers.errors import WorkersError
from workers.policies import policy_of
from workers.presence import Presence
from workers.settings import Settings
from workers.store import get_store

logger = logging.getLogger("workers")

#: Whatever a library waits for then, the process ends.
LAST_RESORT_SECONDS: Final = 13.0


def run_bridge(name: str, settings: Settings, clock: Clock | None = None) -> int:
    """Run one bridge until SIGTERM or SIGINT, and return the exit status; ``clock``: None is the machine's."""
    policy = policy_of(name, settings)
    stopping = threading.Event()
    bridges: list[Bridge] = []

    def stop(signum: int, _frame: object) -> None:
        if stopping.is_set():
            return
        stopping.set()
        for each in bridges:
            each.stop()
        last_resort = threading.Timer(LAST_RESORT_SECONDS, os._exit, (1,))
        last_resort.daemon = True
        last_resort.start()

    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, stop)

    progress = Progress()
    start_watchdog(progress)
    port = settings.health_port or policy.health_port
    try:
        serve_health(settings.health_host, port, progress, REGISTRY)
    except OSError as error:
        print(f"HEALTH_PORT={port}: expected a free port of {settings.health_host} ({error})", file=sys.stderr)
        return 2
    logger.info("bridge starts", extra={"bridge": name, **settings.describe()})
    presence = Presence(f"bridge-{name}", redis_client(settings.live_url), describe(policy, settings.kafka_brokers))
    presence.start()
    try:
        wait_for(
            f"Kafka at {settings.kafka_brokers}",
            lambda: ensure_topics(settings.kafka_brokers),
            progress=progress,
            stopping=stopping.is_set,
            retry_on=(KafkaException,),
        )
        bridge = Bridge(
            policy,
            settings.kafka_brokers,
            # One repeat only: the main loop waits for it, and a batch that is not sent now is sent in a second.
            make_broker(settings.redis_url, retries=1),
            store=get_store() if policy.watermark_in_store else None,
            progress=progress,
            clock=clock,
        )
        bridges.append(bridge)
        if not stopping.is_set():
            bridge.run()
    except StoppedWaiting:
        pass
    except WorkersError as error:
        logger.critical("bridge cannot go on", extra={"bridge": name, "reason": str(error)})
        return 1
    finally:
        presence.close()
    logger.info("bridge stopped", extra={"bridge": name})
    return 0
