"""The client is a library: importing it needs no settings, and brings in nothing of the servers' and workers' parts."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from web.client.times import milliseconds

ROOT = Path(__file__).resolve().parents[4]


def test_importing_needs_no_settings_and_no_broker() -> None:
    program = "import sys, web.client; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    # A value that ends whatever reads it.
    environment = os.environ | {"PAIRS": "not a pair"}

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )

    assert {"web", "ingest", "httpx", "websockets"} <= set(done.stdout.split())
    unwanted = {"workers", "dramatiq", "redis", "pymongo", "falcon", "pandas", "polars", "pyarrow", "pydantic"}
    assert unwanted & set(done.stdout.split()) == set()


def test_times_are_milliseconds_or_have_a_zone() -> None:
    assert [milliseconds(1_606_166_220_000), milliseconds(datetime(2020, 11, 23, 21, 17, tzinfo=UTC))] == [
        1_606_166_220_000
    ] * 2


@pytest.mark.parametrize("time", [-1, datetime(2020, 11, 23), datetime(1969, 1, 1, tzinfo=UTC)])
def test_a_time_that_could_mean_something_else_is_refused(time: int | datetime) -> None:
    with pytest.raises(ValueError, match="expected"):
        milliseconds(time)
