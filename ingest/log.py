"""One log format for every process: text on a terminal, JSON lines otherwise.

Modules use the standard library's ``logging.getLogger(__name__)`` and put identities into ``extra``, so that
librdkafka's, Dramatiq's and gunicorn's own lines come out in the same shape.
"""

import logging
import sys
from collections.abc import Sequence

import structlog
from structlog.typing import Processor

#: Longest text that one field of a log line may hold: peers choose some of it.
MAX_FIELD_CHARACTERS = 500


def configure_logging(level: str = "info", log_format: str | None = None) -> None:
    """Send all logging to standard error.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``.
        log_format: ``text`` or ``json``; None chooses text on a terminal.
    """
    as_text = log_format == "text" or (log_format is None and sys.stderr.isatty())
    shared: Sequence[Processor] = (
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _shorten,
    )
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if as_text
        else structlog.processors.JSONRenderer(sort_keys=False)
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def _shorten(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    for key, value in event.items():
        if key != "exception" and isinstance(value, str) and len(value) > MAX_FIELD_CHARACTERS:
            event[key] = value[:MAX_FIELD_CHARACTERS] + "…"
    return event
