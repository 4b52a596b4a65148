"""Waiting for a service that is not there yet: said once, not in a loop."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from ingest.health import Progress

logger = logging.getLogger(__name__)

T = TypeVar("T")

RETRY_SECONDS = 0.5


class StoppedWaiting(Exception):
    """Raised when the process was asked to stop before the service came."""


def wait_for(
    service: str,
    probe: Callable[[], T],
    *,
    progress: Progress | None = None,
    stopping: Callable[[], bool] = lambda: False,
    retry_on: tuple[type[Exception], ...],
) -> T:
    """Call ``probe`` until it does not raise one of ``retry_on``, and return what it returned.

    Waiting counts as progress: a process without its services is patient, not wedged.

    Raises:
        StoppedWaiting: If ``stopping()`` turned true meanwhile.
    """
    said = False
    while True:
        if stopping():
            raise StoppedWaiting(service)
        if progress is not None:
            progress.turned()
        try:
            result = probe()
        except retry_on as error:
            if not said:
                logger.warning("waiting for %s", service, extra={"reason": str(error)})
                said = True
            time.sleep(RETRY_SECONDS)
        else:
            if said:
                logger.info("%s is there", service)
            return result
