"""Saying once that a service is away, and once that it is back."""

import logging
import threading


class Outage:
    """Logs changes of state; safe for use from several threads."""

    def __init__(self, logger: logging.Logger, service: str) -> None:
        self._logger, self._service = logger, service
        self._lock = threading.Lock()
        self._away = False

    def failed(self, reason: object) -> None:
        """It did not answer."""
        with self._lock:
            began, self._away = not self._away, True
        if began:
            self._logger.warning("%s does not answer", self._service, extra={"reason": str(reason)})

    def answered(self) -> None:
        """It answered."""
        with self._lock:
            ended, self._away = self._away, False
        if ended:
            self._logger.info("%s answers again", self._service)
