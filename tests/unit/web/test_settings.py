"""The servers' settings: defaults, and what a bad value is answered with."""

import pytest

from ingest.errors import SettingsError
from web.settings import Settings


def test_defaults_are_open_to_read_and_bounded_in_cost() -> None:
    settings = Settings.from_env()

    assert (settings.bind_host, settings.rest_port, settings.ws_port) == ("127.0.0.1", 8080, 3004)
    assert (settings.ws_origins, settings.cors_origins, settings.trusted_proxies) == (("*",), ("*",), ())
    assert (settings.ws_max_connections, settings.ws_max_connections_per_address) == (10_000, 50)
    assert (settings.ws_max_subscriptions, settings.ws_max_frame_bytes) == (200, 16_384)
    assert (settings.ws_max_commands_per_second, settings.ws_max_burst) == (10.0, 50)


def test_configured_pairs_are_those_of_each_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXCHANGE", "sim,kraken")
    monkeypatch.setenv("PAIRS", "BTC-USD,ETH-USD")
    monkeypatch.setenv("PAIRS_KRAKEN", "XMR-EUR")

    configured = Settings.from_env().configured

    assert configured == {"sim": ("BTC-USD", "ETH-USD"), "kraken": ("XMR-EUR",)}


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("REST_PORT", "0", "REST_PORT='0': expected greater than or equal to 1"),
        ("WS_PORT", "port", "WS_PORT='port': expected a valid integer"),
        ("WS_ORIGINS", "example.org", "WS_ORIGINS='example.org': expected * or origins like https://example.org"),
        ("CORS_ORIGINS", "*,https://a.example", "CORS_ORIGINS='*,https://a.example': expected * or origins like"),
        ("TRUSTED_PROXIES", "10.0.0.0/33", "TRUSTED_PROXIES='10.0.0.0/33': expected addresses or networks like"),
        ("WS_MAX_BURST", "0", "WS_MAX_BURST='0': expected greater than or equal to 1"),
        ("WS_PROCESSES", "-1", "WS_PROCESSES='-1': expected greater than or equal to 1"),
    ],
)
def test_a_bad_value_is_named_with_what_was_expected(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(SettingsError) as raised:
        Settings.from_env()

    assert str(raised.value).startswith(sentence)
