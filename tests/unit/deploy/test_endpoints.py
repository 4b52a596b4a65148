from pathlib import Path

import pytest

from deploy.native import endpoints
from deploy.native.stack import Stack
from ingest.settings import Settings


def stack(**variables: str) -> Stack:
    return Stack(Path("/srv/clone/.run"), variables)


def test_without_settings_the_launcher_expects_what_the_programs_follow() -> None:
    fields = Settings.model_fields

    expected = (endpoints.exchanges(stack()), endpoints.pairs_of(stack(), "sim"))

    assert expected == (fields["exchange"].default, fields["pairs"].default)


def test_probe_takes_any_pair_of_the_default_exchange() -> None:
    own = stack(EXCHANGE="kraken, sim", PAIRS_KRAKEN="FOO-BAR, BTC-USD,FOO-BAR", PAIRS="ETH-EUR")

    words = endpoints.candle_probe(own, "http://rest", "ws://ws")

    assert words == (
        *("candle", "--rest", "http://rest", "--ws", "ws://ws"),
        *("--exchange", "kraken", "--pairs", "FOO-BAR,BTC-USD"),
    )


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:8080"),
        ("::", "http://[::1]:8080"),
        ("fd00::7", "http://[fd00::7]:8080"),
    ],
)
def test_address_is_one_that_this_machine_reaches(host: str, address: str) -> None:
    assert endpoints.url(stack(BIND_HOST=host), "rest") == address


def test_greeting_names_the_pair_that_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 107.4)

    text = endpoints.greeting(stack(PAIRS="FOO-BAR,BTC-USD"), "BTC-USD", started=100.0)

    assert text == (
        "crypto-streams is up (7 s)\n"
        "  dashboard  http://127.0.0.1:8080/  (live charts of all pairs)\n"
        "  status     http://127.0.0.1:8080/status\n"
        "  history    http://127.0.0.1:8080/api/ohlcv?pair=BTC-USD\n"
        "  live       ws://127.0.0.1:3004  (send: subscribe,BTC-USD)\n"
        "  try it     curl 'http://127.0.0.1:8080/api/ohlcv?pair=BTC-USD&limit=3'"
    )
