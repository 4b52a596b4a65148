"""The rate limit as it runs: several processes, one count, and a Redis that goes away."""

import time
from collections import Counter
from pathlib import Path

import httpx
import pytest
import redis

from tests.integration.web_processes import REST, running
from tests.ports import free_port
from web.ratelimit import KEY_PREFIX


@pytest.fixture
def environment(environment: dict[str, str], redis_url: str) -> dict[str, str]:
    """A server with a limit, and nothing counted yet."""
    with redis.Redis.from_url(redis_url) as client:
        client.delete(KEY_PREFIX + "127.0.0.1")
    return environment | {"REST_MAX_REQUESTS_PER_MINUTE": "20", "WEB_CONCURRENCY": "2"}


def test_all_processes_count_together(environment: dict[str, str], tmp_path: Path) -> None:
    port = int(environment["REST_PORT"])
    with running(REST, port, tmp_path / "rest.log", **environment):
        # A connection of its own each, so that both processes get some; without a service, so that it is quick.
        answers = [httpx.get(f"http://127.0.0.1:{port}/udf/config") for _ in range(30)]
        alive = httpx.get(f"http://127.0.0.1:{port}/livez")

    statuses = Counter(answer.status_code for answer in answers)
    refilled = statuses[200] - 20
    # One comes back every three seconds.
    assert (0 <= refilled <= 5, statuses[200] + statuses[429]) == (True, 30)
    assert answers[0].headers["ratelimit-policy"] == '"address";q=20;w=60'
    assert answers[0].headers["ratelimit"] == '"address";r=19;t=3'
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.headers["content-type"] == "application/problem+json"
    assert 1 <= int(refused.headers["retry-after"]) <= 3
    assert alive.status_code == 200


def test_requests_pass_and_are_counted_while_redis_is_away(environment: dict[str, str], tmp_path: Path) -> None:
    port = int(environment["REST_PORT"])
    environment |= {"REDIS_URL": f"redis://127.0.0.1:{free_port()}/0", "WEB_CONCURRENCY": "1"}
    with (
        running(REST, port, tmp_path / "rest.log", **environment),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client,
    ):
        started = time.monotonic()
        answers = [client.get("/udf/config") for _ in range(30)]
        seconds = time.monotonic() - started
        metrics = client.get("/metrics").text.splitlines()

    assert [answer.status_code for answer in answers] == [200] * 30
    assert not any("ratelimit" in answer.headers for answer in answers)
    assert "rest_uncounted_requests_total 30.0" in metrics
    assert seconds < 5
