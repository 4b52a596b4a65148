"""``python -m web tail | top`` as processes of their own, on both servers as they run."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

from ingest.candle import Candle, Interval, State
from tests.integration.test_client import Servers, environment, servers  # noqa: F401
from tests.integration.test_ws import Publisher, client, publisher  # noqa: F401
from tests.integration.web_processes import ROOT
from tests.ports import free_port
from workers.store import CandleStore

SECONDS = 60.0


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "web", *words]


def finished(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*words), cwd=ROOT, capture_output=True, text=True, timeout=SECONDS)


@contextmanager
def started(*words: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """The command while it runs; killed if it is still there afterwards."""
    with subprocess.Popen(
        command(*words),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | variables,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def urls(servers: Servers) -> list[str]:  # noqa: F811
    return ["--url", servers.url, "--ws-url", servers.ws_url]


def test_tail_prints_what_changes_until_ctrl_c(servers: Servers, publisher: Publisher) -> None:  # noqa: F811
    first = publisher.publish()

    with started("tail", "BTC-USD", *urls(servers)) as process:
        lines = [line_of(process)]
        change = publisher.publish()
        lines.append(line_of(process))
        process.send_signal(signal.SIGINT)
        status = process.wait(SECONDS)
        assert process.stderr is not None
        said = process.stderr.read()

    received = [json.loads(line.removeprefix("RECEIVED: "), parse_float=Decimal) for line in lines]
    keys = ("pair", "timestamp", "open", "high", "low", "close", "volume")
    assert [list(each) for each in received] == [list(keys)] * 2
    assert received == [{key: getattr(each, key) for key in keys} for each in (first, change)]
    assert (status, said) == (130, "")


def test_tail_prints_finals_from_history_on_and_ends_after_so_many(
    servers: Servers,  # noqa: F811
    store: CandleStore,
    publisher: Publisher,  # noqa: F811
) -> None:
    stored = [publisher.make(number, state=State.FINAL) for number in range(-4, 0)]
    assert store.write(stored) == []

    since = str(stored[1].timestamp)
    done = finished("tail", "BTC-USD", "--finals", "--json", "--since", since, "-n", "3", *urls(servers))

    shown = [json.loads(line, parse_float=Decimal) for line in done.stdout.splitlines()]
    assert shown == [{name: getattr(each, name) for name in Candle.__struct_fields__} for each in stored[1:]]
    assert (done.returncode, done.stderr) == (0, "")


def test_tail_ends_when_nobody_reads_it(servers: Servers, publisher: Publisher) -> None:  # noqa: F811
    publisher.publish()

    with started("tail", "BTC-USD", *urls(servers)) as process:
        line_of(process)
        assert process.stdout is not None
        process.stdout.close()
        publisher.publish()
        status = process.wait(SECONDS)
        assert process.stderr is not None
        said = process.stderr.read()

    assert (status, said) == (141, "")


def test_tail_says_what_the_server_refuses(servers: Servers) -> None:  # noqa: F811
    done = finished("tail", "XXX-USD", *urls(servers))

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "'XXX-USD' is not a pair of sim; expected one such as BTC-USD\n"


def test_tail_goes_on_trying_and_says_so_and_finds_the_ports_in_the_settings() -> None:
    ports = {"WS_PORT": str(free_port()), "REST_PORT": str(free_port())}

    with started("tail", "BTC-USD", **ports) as process:
        assert process.stderr is not None
        said = [process.stderr.readline() for _ in range(2)]
        process.send_signal(signal.SIGINT)
        status = process.wait(SECONDS)

    assert all(f"ws://127.0.0.1:{ports['WS_PORT']}: " in line and "connecting again in" in line for line in said)
    assert status == 130


def test_top_shows_every_pair_and_its_newest_candle(
    servers: Servers,  # noqa: F811
    store: CandleStore,
    publisher: Publisher,  # noqa: F811
) -> None:
    day = publisher.make(interval=Interval.D1)
    assert store.write([day]) == []
    newest = publisher.publish()
    publisher.publish(pair="ETH-USD")

    with started("top", *urls(servers)) as process:
        for _ in range(20):
            rows = [json.loads(line_of(process), parse_float=Decimal) for _ in range(2)]
            if rows[0]["last"] is not None and rows[0]["change"] is not None and rows[1]["last"] is not None:
                break
        process.send_signal(signal.SIGINT)
        status = process.wait(SECONDS)

    assert [(each["exchange"], each["pair"], each["state"]) for each in rows] == [
        ("sim", "BTC-USD", "open"),
        ("sim", "ETH-USD", "open"),
    ]
    assert rows[0]["last"] == newest.close
    assert rows[0]["change"] == round((newest.close / day.open - 1) * 100, 2)
    assert rows[0]["age_seconds"] >= 0
    assert rows[0]["feed"] in ("live", "stale", "down")
    assert (rows[1]["change"], status) == (None, 130)


def test_top_ends_after_so_many_and_knows_its_exchanges(servers: Servers) -> None:  # noqa: F811
    once, none = (finished("top", *words, *urls(servers)) for words in (["-n", "1"], ["--exchange", "kraken"]))

    assert [json.loads(line)["pair"] for line in once.stdout.splitlines()] == ["BTC-USD", "ETH-USD"]
    assert (once.returncode, once.stderr) == (0, "")
    assert (none.returncode, none.stdout) == (1, "")
    assert none.stderr == f"{servers.url} has no pairs of kraken: expected an exchange that /api/pairs lists\n"
