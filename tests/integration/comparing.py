"""What tests of comparisons share."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def nobody_watches(_what: str, _total: int) -> Iterator[Callable[[int], None]]:
    """A progress that is not shown."""
    yield lambda count: None


@contextmanager
def later(seconds: float, act: Callable[[], object]) -> Iterator[None]:
    """Let something happen so many seconds from now, beside what happens inside the block."""
    timer = threading.Timer(seconds, act)
    timer.start()
    yield
    timer.join()
