"""The probe as the launcher runs it, against servers that have what a test gives them."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.server import ServerConnection, serve

PROBE = Path(__file__).resolve().parents[3] / "deploy" / "native" / "probe.py"


@dataclass
class Servers:
    """Newest open time by exchange and pair for REST, and the frame that each subscription is answered with."""

    newest: dict[tuple[str, str], int | None] = field(default_factory=dict)
    frames: dict[str, dict[str, Any]] = field(default_factory=dict)
    rest: str = ""
    ws: str = ""

    def answer(self, path: str) -> Any:
        if path == "/api/pairs":
            return [{"exchange": key[0], "pair": key[1], "newest": newest} for key, newest in self.newest.items()]
        return [{"close": 1}]

    def probe(self, pairs: str, seconds: str = "0") -> tuple[int, str]:
        """Exit status and output."""
        words = ["--rest", self.rest, "--ws", self.ws, "--exchange", "sim", "--pairs", pairs, "--seconds", seconds]
        done = subprocess.run([sys.executable, PROBE, "candle", *words], capture_output=True, text=True, timeout=30)
        return done.returncode, done.stdout.strip() + done.stderr


@pytest.fixture
def servers() -> Iterator[Servers]:
    own = Servers()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(own.answer(self.path)).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: Any) -> None:
            pass

    def talk(connection: ServerConnection) -> None:
        for said in connection:
            pair = str(said).removeprefix("subscribe,")
            if pair in own.frames:
                connection.send(json.dumps(own.frames[pair]))

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http, serve(talk, "127.0.0.1", 0) as websocket:
        threads = [threading.Thread(target=each.serve_forever) for each in (http, websocket)]
        for thread in threads:
            thread.start()
        own.rest = f"http://127.0.0.1:{http.server_port}"
        own.ws = f"ws://127.0.0.1:{websocket.socket.getsockname()[1]}"
        yield own
        http.shutdown()
        websocket.shutdown()
        for thread in threads:
            thread.join()


def test_candle_of_any_pair_will_do_and_its_pair_is_told(servers: Servers) -> None:
    servers.newest = {("sim", "FOO-BAR"): None, ("sim", "ETH-USD"): 60_000, ("sim", "BTC-USD"): 120_000}
    servers.frames = {"BTC-USD": {"pair": "BTC-USD", "open": 1}}

    found = servers.probe("FOO-BAR,ETH-USD,BTC-USD")

    assert found == (0, "BTC-USD")


def test_pair_that_was_asked_for_first_is_told_unless_it_stands_still(servers: Servers) -> None:
    servers.newest = {("sim", "BTC-EUR"): 120_000, ("sim", "BTC-USD"): 60_000, ("sim", "OLD-USD"): 0}
    servers.frames = {pair: {"pair": pair} for _, pair in servers.newest}
    of_a_minute = servers.probe("BTC-USD,BTC-EUR,OLD-USD")

    servers.newest[("sim", "BTC-EUR")] = 3_600_000
    of_an_hour = servers.probe("BTC-USD,BTC-EUR,OLD-USD")

    assert (of_a_minute, of_an_hour) == ((0, "BTC-USD"), (0, "BTC-EUR"))


def test_error_that_comes_before_a_candle_is_passed_over(servers: Servers) -> None:
    servers.newest = {("sim", "FOO-BAR"): 120_000, ("sim", "BTC-USD"): 60_000}
    servers.frames = {"FOO-BAR": {"error": {"code": "unknown_pair"}}, "BTC-USD": {"pair": "BTC-USD"}}

    found = servers.probe("FOO-BAR,BTC-USD")

    assert found == (0, "BTC-USD")


def test_candles_of_other_pairs_and_exchanges_do_not_count(servers: Servers) -> None:
    servers.newest = {("sim", "BTC-USD"): None, ("kraken", "BTC-USD"): 60_000, ("sim", "ETH-USD"): 60_000}

    found = servers.probe("BTC-USD")

    assert found == (1, "REST: no candle of BTC-USD yet")


def test_candles_in_history_alone_are_not_enough(servers: Servers) -> None:
    servers.newest = {("sim", "BTC-USD"): 60_000}

    found = servers.probe("BTC-USD")

    assert found == (1, f"WebSocket: {servers.ws} sends no candle of BTC-USD, but nothing")
