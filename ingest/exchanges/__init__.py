"""The exchanges we can follow: one adapter per file, and the one list to extend."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from ingest.errors import SettingsError
from ingest.exchanges import blockchain, kraken
from ingest.exchanges.base import Adapter
from ingest.settings import Settings


def _blockchain(settings: Settings) -> Adapter:
    scheme = settings.ws_scheme or blockchain.SCHEME
    address = settings.ws_addr or blockchain.ADDRESS
    path = settings.ws_path or blockchain.PATH
    return blockchain.BlockchainAdapter(
        f"{scheme}://{address}/{path.removeprefix('/')}", settings.ws_origin_header or blockchain.ORIGIN
    )


def _kraken(_settings: Settings) -> Adapter:
    return kraken.KrakenAdapter()


def _sim(settings: Settings) -> Adapter:
    return blockchain.BlockchainAdapter(f"ws://{_simulator(settings)}{blockchain.PATH}")


def _simkraken(settings: Settings) -> Adapter:
    return kraken.KrakenAdapter(f"ws://{_simulator(settings)}/v2")


def _simulator(settings: Settings) -> str:
    host = f"[{settings.sim_host}]" if ":" in settings.sim_host else settings.sim_host
    return f"{host}:{settings.sim_port}"


#: Name in ``EXCHANGE`` to what builds the adapter. ``sim…`` are the simulated exchange in another one's protocol.
ADAPTERS: Final[Mapping[str, Callable[[Settings], Adapter]]] = MappingProxyType(
    {"blockchain": _blockchain, "kraken": _kraken, "sim": _sim, "simkraken": _simkraken}
)

#: Those whose prices nobody has paid; whoever shows them says so.
SIMULATED: Final = frozenset({"sim", "simkraken"})


def adapter_for(exchange: str, settings: Settings) -> Adapter:
    """The adapter of an exchange, at the address that the settings name.

    Raises:
        SettingsError: If there is no such exchange; it lists those that exist.
    """
    try:
        return ADAPTERS[exchange](settings)
    except KeyError:
        raise SettingsError((f"EXCHANGE={exchange!r}: expected one of {', '.join(ADAPTERS)}",)) from None
