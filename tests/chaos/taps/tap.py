"""What all taps have in common: a thread that looks until it is stopped, whatever is away meanwhile."""

import threading
from abc import ABC, abstractmethod

#: A tap that does not stop within this hangs, which is a fault of the harness.
STOP_SECONDS = 15.0


class Tap(ABC):
    """Looks again and again in a thread of its own.

    Services and processes that are away are what taps are for, so `look` passes over them itself. Anything else that
    goes wrong ends the tap, and `stop` raises it: a tap that was blind must not be taken for one that saw nothing.
    """

    #: Between two looks (seconds).
    pause_seconds = 0.0

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    @property
    def stopping(self) -> bool:
        """Whether it shall end."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """Look no more.

        Raises:
            RuntimeError: If it went wrong, or does not end.
        """
        self._stopping.set()
        self._thread.join(STOP_SECONDS)
        if self._failure is not None:
            raise RuntimeError(f"{type(self).__name__} went wrong") from self._failure
        if self._thread.is_alive():
            raise RuntimeError(f"{type(self).__name__} did not end within {STOP_SECONDS:g} s")

    @abstractmethod
    def look(self) -> None:
        """Look once."""

    def close(self) -> None:  # noqa: B027 - most have nothing to release
        """Release what is held; called in the tap's own thread when it ends."""

    def rest(self, seconds: float) -> None:
        """Wait, but not beyond the end."""
        self._stopping.wait(seconds)

    def _run(self) -> None:
        try:
            while not self.stopping:
                self.look()
                self.rest(self.pause_seconds)
        except BaseException as failure:
            self._failure = failure
        finally:
            self.close()
