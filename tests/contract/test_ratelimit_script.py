"""The rate limit's script on a real Redis: quotas, refills, and how long keys live."""

import contextlib
import socket
import time
import uuid

import pytest
import redis

from ingest.clock import SystemClock
from tests.conftest import FakeClock
from web.ratelimit import KEY_PREFIX, TIMEOUT_SECONDS, WINDOW_SECONDS, RequestCounter


@pytest.fixture
def somebody() -> str:
    """An address that nobody else uses."""
    return uuid.uuid4().hex


def test_a_quota_can_be_used_at_once_and_no_more(redis_url: str, somebody: str) -> None:
    counter = RequestCounter(redis_url, 5, SystemClock())

    verdicts = [counter.take(somebody) for _ in range(7)]

    assert [verdict and (verdict.allowed, verdict.remaining) for verdict in verdicts] == [
        (True, 4),
        (True, 3),
        (True, 2),
        (True, 1),
        (True, 0),
        (False, 0),
        (False, 0),
    ]
    refused = verdicts[-1]
    assert refused is not None
    assert WINDOW_SECONDS - 2 <= refused.reset_seconds <= WINDOW_SECONDS
    assert WINDOW_SECONDS / 5 - 2 <= refused.retry_seconds <= WINDOW_SECONDS / 5


def test_clients_do_not_count_for_each_other(redis_url: str, somebody: str) -> None:
    counter = RequestCounter(redis_url, 1, SystemClock())
    counter.take(somebody)

    other = counter.take(f"{somebody}-neighbour")

    assert other is not None
    assert other.allowed


def test_an_allowance_refills_evenly(redis_url: str, somebody: str) -> None:
    quota = 60
    counter = RequestCounter(redis_url, quota, SystemClock())
    with redis.Redis.from_url(redis_url) as client:
        seconds, microseconds = client.time()
        now_us = seconds * 1_000_000 + microseconds
        # Whole again in half a window: half of the quota has come back already.
        client.set(KEY_PREFIX + somebody, now_us + WINDOW_SECONDS * 500_000, px=WINDOW_SECONDS * 1000)

    verdict = counter.take(somebody)

    assert verdict is not None
    assert (verdict.allowed, verdict.retry_seconds) == (True, 0)
    assert quota / 2 - 1 <= verdict.remaining <= quota / 2 + 1


def test_a_clock_that_went_back_locks_nobody_out(redis_url: str, somebody: str) -> None:
    counter = RequestCounter(redis_url, 60, SystemClock())
    with redis.Redis.from_url(redis_url) as client:
        client.set(KEY_PREFIX + somebody, 9_000_000_000_000_000, px=60_000)

    verdict = counter.take(somebody)

    assert verdict is not None
    assert (verdict.allowed, verdict.retry_seconds) == (False, 1)


def test_a_key_is_gone_when_it_says_nothing_any_more(redis_url: str, somebody: str) -> None:
    RequestCounter(redis_url, 60, SystemClock()).take(somebody)

    with redis.Redis.from_url(redis_url) as client:
        lives_ms = client.pttl(KEY_PREFIX + somebody)

    assert 0 < lives_ms <= WINDOW_SECONDS * 1000 / 60


@pytest.mark.parametrize("kind", ["refuses", "silent"])
def test_a_redis_that_does_not_answer_costs_a_moment(kind: str) -> None:
    with contextlib.ExitStack() as sockets:
        listener = sockets.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = listener.getsockname()[1]
        if kind == "refuses":
            listener.close()
        counter = RequestCounter(f"redis://127.0.0.1:{port}/0", 60, FakeClock())

        started = time.monotonic()
        verdicts = [counter.take("a") for _ in range(100)]
        seconds = time.monotonic() - started

    # The first attempt waits; the others are not made.
    assert (verdicts, seconds < 10 * TIMEOUT_SECONDS) == ([None] * 100, True)
