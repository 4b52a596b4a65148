"""What a person sees while slow things happen: one line when a step begins, one with the time it took.

Goes to standard error, so that standard output holds results only.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager

from deploy.native import commands

#: Steps faster than this are not worth a line.
QUIET_SECONDS = 0.7
#: How often a step that goes on says so.
REMINDER_SECONDS = 30.0

_lock = threading.Lock()


def say(text: str) -> None:
    """Write one line, whole even when several threads speak."""
    with _lock:
        print(text, file=sys.stderr, flush=True)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Say that ``what`` is going on, every half minute that it still is, and at its end how long it took."""
    started = time.monotonic()
    ended = threading.Event()

    def remind() -> None:
        if ended.wait(QUIET_SECONDS):
            return
        say(f"  {what} ...")
        while not ended.wait(REMINDER_SECONDS):
            say(f"  {what} ... {time.monotonic() - started:.0f} s")

    reminder = threading.Thread(target=remind, daemon=True)
    reminder.start()
    result = "failed"
    try:
        yield
        result = "done"
    finally:
        ended.set()
        reminder.join()
        seconds = time.monotonic() - started
        if seconds >= QUIET_SECONDS:
            say(f"  {what}: {result}, {seconds:.1f} s")


def side_by_side(tasks: Mapping[str, Callable[[], None]]) -> None:
    """Run the tasks in threads, each as a `step` of that name.

    Raises the first task's error as soon as it happens; the commands of the others are ended, so that nobody waits
    three minutes for a compiler before reading that the network is gone.
    """

    def run(what: str, task: Callable[[], None]) -> None:
        with step(what):
            task()

    with ThreadPoolExecutor(max_workers=len(tasks)) as pool:
        futures = [pool.submit(run, what, task) for what, task in tasks.items()]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            failed = next((future for future in futures if future in done and future.exception()), None)
        except KeyboardInterrupt:
            commands.end_all()
            raise
        if failed is not None:
            commands.end_all()
            error = failed.exception()
            assert error is not None
            raise error
