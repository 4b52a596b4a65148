"""The Dramatiq broker and its middleware."""

import logging
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from dramatiq.middleware import Middleware, Retries, SkipMessage, TimeLimit
from prometheus_client import REGISTRY

from ingest.health import Progress, serve_health, start_watchdog
from ingest.log import configure_logging
from workers import metrics
from workers.clients import redis_client
from workers.doorbell import DoorbellBroker
from workers.presence import Presence
from workers.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dramatiq.broker import Broker, MessageProxy
    from dramatiq.worker import Worker

logger = logging.getLogger(__name__)

NAMESPACE: Final = "crypto-streams"
#: A worker process without a heartbeat for so long is dead and its messages go back. The bridges' leases are faster;
#: this is for chores.
HEARTBEAT_TIMEOUT_MS: Final = 15_000
#: Out of a million commands, how many look for dead workers: about once a minute with one idle worker.
MAINTENANCE_CHANCE: Final = 20_000
#: How often a child asks again for a health port that another one has.
HEALTH_RETRY_SECONDS: Final = 1.0
#: How long messages that failed for good are kept.
DEAD_MESSAGE_TTL_MS: Final = 24 * 60 * 60 * 1000

DEFAULT_HEALTH_PORTS: Final = {"persist": 9111, "fanout": 9112, "rollup": 9113}


class DropExpired(Middleware):
    """Drops jobs that waited longer than their actor's ``drop_after`` (milliseconds).

    Unlike Dramatiq's AgeLimit it does not fail them: a failed message is kept for the dead-message time, and a worker
    pool that comes back after an hour would fill Redis with jobs whose rows its bridge has long applied.
    """

    @property
    def actor_options(self) -> set[str]:
        """Options that actors may have because of this middleware."""
        return {"drop_after"}

    def before_process_message(self, broker: "Broker", message: "MessageProxy") -> None:
        """Skip the message, which acknowledges it, if it is too old."""
        limit_ms = broker.get_actor(message.actor_name).options.get("drop_after")
        if limit_ms is None or time.time() * 1000 - message.message_timestamp < limit_ms:
            return
        metrics.JOBS_EXPIRED.labels(message.actor_name).inc()
        raise SkipMessage(f"waited longer than {limit_ms} ms")


class Liveness(Middleware):
    """Progress of a worker process: its consumers turn, and no job has been running for too long."""

    #: Every job's own time-outs end it long before.
    MAX_JOB_SECONDS: Final = 20.0

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._began_at: dict[int, float] = {}

    def consumer_turned(self) -> None:
        """A consumer is alive; that is progress unless a job is stuck."""
        now = time.monotonic()
        if all(now - began_at < self.MAX_JOB_SECONDS for began_at in list(self._began_at.values())):
            self._progress.turned()

    def before_process_message(self, broker: "Broker", message: "MessageProxy") -> None:
        """A worker thread begins a job; chores may take as long as they like."""
        if "drop_after" in broker.get_actor(message.actor_name).options:
            self._began_at[threading.get_ident()] = time.monotonic()

    def after_process_message(self, broker: "Broker", message: "MessageProxy", **outcome: Any) -> None:
        """A worker thread ended a job."""
        self._began_at.pop(threading.get_ident(), None)

    after_skip_message = after_process_message


class WorkerProcess(Middleware):
    """Makes a child of the `dramatiq` command one of our processes: log format, watchdog, ``/livez``, ``/metrics``.

    In the child, because a thread does not survive the fork, and because a child must end when its parent was killed.
    """

    def __init__(self, settings: Settings, progress: Progress) -> None:
        self._settings = settings
        self._progress = progress
        self._presence: Presence | None = None

    def after_process_boot(self, broker: "Broker") -> None:
        """Called once in each child, before it makes threads."""
        configure_logging(self._settings.log_level, self._settings.log_format)
        # At debug it would write every job, rows and all.
        logging.getLogger("dramatiq").setLevel(logging.INFO)
        for handler in logging.getLogger().handlers:
            handler.addFilter(_is_no_repetition)
        start_watchdog(self._progress, end_with_parent=True)

    def before_worker_boot(self, broker: "Broker", worker: "Worker") -> None:
        """Called once in each child, when it is known which queues it serves."""
        queues = worker.consumer_whitelist or {"persist"}
        serves = "workers" if worker.consumer_whitelist is None else f"workers-{min(queues)}"
        self._presence = Presence(serves, redis_client(self._settings.live_url))
        self._presence.start()
        port = self._settings.health_port or DEFAULT_HEALTH_PORTS.get(min(queues))
        if port is None:
            return
        threading.Thread(target=self._serve_health, args=(port,), name="health port", daemon=True).start()

    def after_worker_shutdown(self, broker: "Broker", worker: "Worker") -> None:
        """Called once in each child, when its threads have ended."""
        if self._presence is not None:
            self._presence.close()

    def _serve_health(self, port: int) -> None:
        """Serve health as soon as the port is free.

        Children of one program share the port's number, and the first one has it. Those of a program that was killed
        keep it for a second, until they notice.
        """
        said = False
        while True:
            try:
                serve_health(self._settings.health_host, port, self._progress, REGISTRY)
            except OSError as error:
                if not said:
                    said = True
                    logger.info("health port is taken, waiting for it", extra={"port": port, "reason": str(error)})
                time.sleep(HEALTH_RETRY_SECONDS)
            else:
                return


def _is_no_repetition(record: logging.LogRecord) -> bool:
    """Leave out what each consumer says at each attempt while Redis is away; `workers.doorbell` says it once."""
    repeated = ("Consumer encountered a connection error", "Restarting consumer in")
    return not (record.name.startswith("dramatiq.worker") and str(record.msg).startswith(repeated))


def make_broker(
    url: str,
    namespace: str = NAMESPACE,
    *,
    settings: Settings | None = None,
    retries: int = 3,
) -> DoorbellBroker:
    """A broker for the jobs' Redis at ``url``; opens no socket.

    Args:
        url: The jobs' Redis.
        namespace: What every key of Dramatiq starts with.
        settings: Given by what `dramatiq workers` imports: its children then serve health and watch themselves.
        retries: How often a command is repeated whose connection broke.
    """
    progress = Progress()
    liveness = Liveness(progress)
    middleware: Sequence[Middleware] = (
        *([WorkerProcess(settings, progress)] if settings else []),
        # Before everything that may skip or interrupt, so that it sees each begin and each end.
        liveness,
        DropExpired(),
        # For chores (exports, backfills). Jobs of the bridges have time-outs of their own and `max_retries=0`.
        TimeLimit(),
        Retries(),
    )
    return DoorbellBroker(
        client=redis_client(url, retries),
        middleware=list(middleware),
        namespace=namespace,
        heartbeat_timeout=HEARTBEAT_TIMEOUT_MS,
        maintenance_chance=MAINTENANCE_CHANCE,
        dead_message_ttl=DEAD_MESSAGE_TTL_MS,
        on_turn=liveness.consumer_turned,
    )
