"""Which exchanges there are, and where they are."""

import pytest

from ingest.errors import SettingsError
from ingest.exchanges import ADAPTERS, adapter_for
from ingest.settings import Settings


@pytest.mark.parametrize(
    ("exchange", "address"),
    [
        ("blockchain", ("wss://ws.blockchain.info/mercury-gateway/v1/ws", "https://exchange.blockchain.com")),
        ("kraken", ("wss://ws.kraken.com/v2", None)),
        ("sim", ("ws://127.0.0.1:4711/mercury-gateway/v1/ws", "https://exchange.blockchain.com")),
        ("simkraken", ("ws://127.0.0.1:4711/v2", None)),
    ],
)
def test_each_exchange_has_its_address(exchange: str, address: tuple[str, str | None]) -> None:
    adapter = adapter_for(exchange, Settings(sim_host="127.0.0.1", sim_port=4711))

    assert (adapter.url, adapter.origin) == address


def test_parts_of_the_address_of_blockchain_can_be_overridden() -> None:
    settings = Settings(ws_scheme="ws", ws_addr="localhost:99", ws_path="gate/ws", ws_origin_header="https://a.example")

    adapter = adapter_for("blockchain", settings)

    assert (adapter.url, adapter.origin) == ("ws://localhost:99/gate/ws", "https://a.example")


def test_overriding_the_upstream_address_leaves_the_simulator_alone() -> None:
    adapter = adapter_for("sim", Settings(ws_addr="elsewhere:1", ws_origin_header="https://a.example"))

    assert (adapter.url, adapter.origin) == (
        "ws://127.0.0.1:3010/mercury-gateway/v1/ws",
        "https://exchange.blockchain.com",
    )


def test_an_ipv6_address_of_the_simulator_is_bracketed() -> None:
    assert adapter_for("simkraken", Settings(sim_host="::1", sim_port=4711)).url == "ws://[::1]:4711/v2"


def test_an_unknown_exchange_is_refused_with_the_list_of_known_ones() -> None:
    with pytest.raises(SettingsError) as refusal:
        adapter_for("mtgox", Settings())

    assert str(refusal.value) == "EXCHANGE='mtgox': expected one of blockchain, kraken, sim, simkraken"
    assert list(ADAPTERS) == ["blockchain", "kraken", "sim", "simkraken"]
