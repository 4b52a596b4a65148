"""A whole stack whose simulated market has a past, and has caught up with the clock."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tests.system.stack import Stack, running_stack, wait_until


@contextmanager
def running_market(name: str, port_offset: int, **settings: str) -> Iterator[Stack]:
    """Start it from nothing, and take it down with its data afterwards; running hours are stored every second."""
    market = {"SIM_SPEED": "6000", "ROLLUP_SECONDS": "1"}
    with running_stack(name, port_offset, **market | settings) as stack:
        wait_until("all data is fresh", lambda: is_fresh(stack), seconds=180)
        yield stack


def is_fresh(stack: Stack) -> bool:
    """Whether every feed is live and every newest candle is of now."""
    return httpx.get(f"{stack.rest_url}/health", timeout=10).status_code == 200
