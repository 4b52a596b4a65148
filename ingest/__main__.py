"""``python -m ingest run | simulate | check-config``: parses, builds, starts."""

import argparse
import asyncio
import logging
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Final

from confluent_kafka import KafkaException
from prometheus_client import REGISTRY

from ingest.check_config import BAD, check_config
from ingest.clock import Clock, SystemClock, now_ms
from ingest.errors import SettingsError
from ingest.exchanges import adapter_for
from ingest.exchanges.base import Adapter
from ingest.feed import Feed
from ingest.health import Progress, serve_health, start_watchdog
from ingest.intake import Intake
from ingest.log import configure_logging
from ingest.output import ends_when_unread
from ingest.producer import CandleProducer, kafka_client
from ingest.revision import HybridClock
from ingest.settings import Settings
from ingest.simulator.server import DIALECTS, simulate
from ingest.tail import Tail, TailError, read_tails
from ingest.topics import ensure_topics
from ingest.waiting import StoppedWaiting, wait_for

logger = logging.getLogger("ingest")

DEFAULT_HEALTH_PORT: Final = 9101
#: For acknowledgements after the sockets were closed; the whole stop stays well below 15 s.
FLUSH_SECONDS: Final = 10.0
LAST_BEAT_SECONDS: Final = 1.0
FIRST_BEAT_SECONDS: Final = 2.0
_CHECK_CONFIG: Final = """\
Prints each setting of ingest and of the simulated exchange, its value with secrets as stars, and where it comes
from: the environment, the file .env, or the default. Asks no service. `python -m web check-config` does the same
for the settings of all programs.

examples:
  python -m ingest check-config
  EXCHANGE=kraken PAIRS_KRAKEN=BTC-USD python -m ingest check-config
"""
_CHECK_CONFIG_STATUS: Final = """\
exit status:
  0  all settings are good
  2  some are not, and there is a sentence for each on standard error
"""
#: At most so many unfinished candles are named when a stop leaves some behind.
MAX_NAMED: Final = 20

EXIT_UNFINISHED: Final = 1


def main(arguments: Sequence[str] | None = None, *, clock: Clock | None = None) -> int:
    """Run one command and return the exit status: 0, 1 if something was left undone, 2 for bad settings.

    Args:
        arguments: Words of the command line; None: the process's own.
        clock: The time as ``run`` knows it; None: the machine's.
    """
    with ends_when_unread():
        options = _parser().parse_args(arguments)
        if options.command == "check-config":
            return check_config(Settings.from_env)
    try:
        settings = Settings.from_env()
        adapters = {exchange: adapter_for(exchange, settings) for exchange in settings.exchange}
        configure_logging(settings.log_level, settings.log_format)
        if options.command == "simulate":
            return run_simulator(settings, options.exchange or tuple(DIALECTS))
        return run(settings, adapters, clock or SystemClock())
    except SettingsError as error:
        print(*error.problems, sep="\n", file=sys.stderr)
        return BAD


def run_simulator(settings: Settings, dialects: Sequence[str]) -> int:
    """Serve the simulated exchange until SIGTERM.

    Raises:
        SettingsError: If its address cannot be bound.
    """

    async def serve() -> None:
        stopping = asyncio.Event()
        _on_stop_signals(stopping)
        await simulate(settings, dialects=dialects, stopping=stopping, progress=progress)

    progress = Progress()
    start_watchdog(progress)
    asyncio.run(serve())
    return 0


def run(settings: Settings, adapters: dict[str, Adapter], clock: Clock) -> int:
    """Follow the exchanges until SIGTERM.

    Raises:
        SettingsError: If the address for health and metrics cannot be bound.
    """
    logger.info("starting", extra=settings.describe())
    progress = Progress()
    start_watchdog(progress)
    port = settings.health_port or DEFAULT_HEALTH_PORT
    try:
        health = serve_health(settings.health_host, port, progress, REGISTRY)
    except OSError as error:
        raise SettingsError(
            (f"HEALTH_PORT={port}: cannot listen on {settings.health_host}: {error.strerror}",)
        ) from None
    stop_asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop_asked.set())
    try:
        tails = wait_for(
            "kafka",
            lambda: _prepare(settings, tuple(adapters), clock),
            progress=progress,
            stopping=stop_asked.is_set,
            retry_on=(KafkaException, TailError),
        )
    except StoppedWaiting:
        return 0
    try:
        return asyncio.run(_follow(settings, adapters, tails, clock, progress, stop_asked))
    finally:
        health.shutdown()


def _prepare(settings: Settings, exchanges: Sequence[str], clock: Clock) -> dict[str, Tail]:
    ensure_topics(settings.kafka_brokers)
    return read_tails(settings.kafka_brokers, exchanges, now_ms(clock))


async def _follow(
    settings: Settings,
    adapters: dict[str, Adapter],
    tails: dict[str, Tail],
    clock: Clock,
    progress: Progress,
    stop_asked: threading.Event,
) -> int:
    stopping = asyncio.Event()
    _on_stop_signals(stopping)
    if stop_asked.is_set():
        return 0
    revisions = HybridClock(clock.now_us)
    for tail in tails.values():
        revisions.advance_past(tail.latest_rev)
    producer = CandleProducer(lambda: kafka_client(settings.kafka_brokers), clock)
    intakes = [
        Intake(
            exchange,
            adapter,
            settings.pairs_of(exchange),
            producer=producer,
            revisions=revisions,
            clock=clock,
            tail=tails[exchange],
        )
        for exchange, adapter in adapters.items()
    ]
    # The first beats before the first candle, see `Intake`.
    await producer.finish(FIRST_BEAT_SECONDS)
    feeds = [asyncio.create_task(Feed(intake, progress=progress).run()) for intake in intakes]
    polling = asyncio.create_task(producer.run())
    waiting = asyncio.create_task(stopping.wait())
    await asyncio.wait([*feeds, polling, waiting], return_when=asyncio.FIRST_COMPLETED)
    failed = [task for task in (*feeds, polling) if task.done()]
    for task in (*feeds, polling, waiting):
        task.cancel()
    await asyncio.gather(*feeds, polling, waiting, return_exceptions=True)
    for task in failed:
        logger.critical("a feed failed, stopping", exc_info=task.exception())
    finished = await _finish(producer, intakes)
    return 0 if finished and not failed else EXIT_UNFINISHED


async def _finish(producer: CandleProducer, intakes: Sequence[Intake]) -> bool:
    """Wait for Kafka, then let a last beat say up to where everything is there."""
    finished = await producer.finish(FLUSH_SECONDS)
    if not finished:
        names = producer.unfinished_names()
        logger.error(
            "stopping although Kafka has not acknowledged everything",
            extra={"records": producer.unfinished, "unfinished": ", ".join(names[:MAX_NAMED])},
        )
        return False
    for intake in intakes:
        intake.beat()
    await producer.finish(LAST_BEAT_SECONDS)
    logger.info("stopped, Kafka has acknowledged everything")
    return True


def _on_stop_signals(stopping: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ingest", description="From exchanges to Kafka.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="follow the exchanges named in EXCHANGE")
    simulate = commands.add_parser("simulate", help="serve the simulated exchange on SIM_HOST:SIM_PORT")
    simulate.add_argument(
        "--exchange",
        action="append",
        choices=tuple(DIALECTS),
        help="speak only this exchange's protocol; may be given again (default: all)",
    )
    commands.add_parser(
        "check-config",
        help="print the settings in effect, or what is wrong with them",
        description=_CHECK_CONFIG,
        epilog=_CHECK_CONFIG_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
