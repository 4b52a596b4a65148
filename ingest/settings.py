"""The settings that ingest reads, and how all settings are read.

From the environment, else from a ``.env`` file in the working directory, else the default. Each layer adds its own
fields by subclassing (`workers.settings`, `web.settings`), so a variable has one definition and one name.
"""

import os
import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self, cast
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from ingest.candle import EXCHANGE_PATTERN, PAIR_PATTERN
from ingest.errors import SettingsError
from ingest.masking import mask_password

_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"\A-(\d{1,9})([smhd])\Z")


def split_list(text: object) -> object:
    """Split ``a, b`` into its parts; anything but text is left to the field's own validation."""
    if not isinstance(text, str):
        return text
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _check_pairs(pairs: tuple[str, ...]) -> tuple[str, ...]:
    wrong = [pair for pair in pairs if not PAIR_PATTERN.match(pair)]
    if wrong or not pairs:
        raise ValueError("pairs like BTC-USD, upper case, comma-separated")
    return tuple(dict.fromkeys(pairs))


def _check_exchanges(exchanges: tuple[str, ...]) -> tuple[str, ...]:
    if not exchanges or not all(EXCHANGE_PATTERN.match(name) for name in exchanges):
        raise ValueError("one or more names of exchanges in lower case, comma-separated")
    return tuple(dict.fromkeys(exchanges))


def _parse_lead(text: object) -> object:
    match = _DURATION.match(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError("a time before now: -90s, -30m, -4h or -2d")
    return int(match[1]) * _UNITS_MS[match[2]]


def _check_brokers(brokers: str) -> str:
    if not all(re.match(r"\A[^\s:,]+:\d{1,5}\Z", part.strip()) for part in brokers.split(",")):
        raise ValueError("host:port, comma-separated")
    return brokers


def _check_address(address: str) -> str:
    try:
        parts = urlsplit(f"ws://{address}")
        # Reading the port is what checks it.
        whole = parts.hostname is not None and (parts.port is None or parts.port > 0) and parts.netloc == address
    except ValueError:
        whole = False
    if not whole or re.search(r"\s", address):
        raise ValueError("host or host:port")
    return address


Pairs = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_list), AfterValidator(_check_pairs)]
Exchanges = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_list), AfterValidator(_check_exchanges)]
Port = Annotated[int, Field(ge=1, le=65535)]
#: Where a setting's value comes from.
Source = Literal["environment", ".env", "default"]


class Settings(BaseSettings):
    """What ingest and the simulated exchange need; names in upper case are the variables."""

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True, validate_default=False
    )

    #: Exchanges to follow; the first is the default of the APIs.
    exchange: Exchanges = ("sim",)
    #: Pairs of every exchange without a ``PAIRS_<EXCHANGE>`` of its own.
    pairs: Pairs = ("BTC-USD", "BTC-EUR", "ETH-USD", "ETH-EUR")

    kafka_brokers: Annotated[str, AfterValidator(_check_brokers)] = "127.0.0.1:9092"

    #: Parts of the upstream address of the ``blockchain`` adapter; None leaves that part as published.
    ws_scheme: Literal["ws", "wss"] | None = None
    ws_addr: Annotated[str, AfterValidator(_check_address)] | None = None
    ws_path: str | None = None
    ws_origin_header: str | None = None

    #: The simulated exchange: address, seed of its market, updates per pair and market minute.
    sim_host: str = "127.0.0.1"
    sim_port: Port = 3010
    sim_seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    sim_updates: Annotated[int, Field(ge=1, le=6000)] = 12
    #: How long before its first subscription the market begins (milliseconds, from ``-4h``), and how many
    #: market seconds pass per second until it has caught up.
    sim_start: Annotated[int, BeforeValidator(_parse_lead)] = 4 * 3_600_000
    sim_speed: Annotated[Decimal, Field(ge=1, le=100_000)] = Decimal(600)
    #: A file that gets a line for every frame sent; what tests compare with.
    sim_log: Path | None = None
    #: Where the market's start is kept, so that a restarted simulator goes on where it would have been.
    sim_state: Path = Path(".run/simulator.json")

    #: Address for ``/livez`` and ``/metrics``; the port's default depends on the process.
    health_host: str = "127.0.0.1"
    health_port: Port | None = None

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    #: None: text on a terminal, else JSON.
    log_format: Literal["text", "json"] | None = None

    _pairs_by_exchange: dict[str, tuple[str, ...]] = PrivateAttr(default_factory=dict)

    @classmethod
    def from_env(cls, **overrides: Any) -> Self:
        """Read the settings.

        Raises:
            SettingsError: If any variable has a bad value; it names each, its value and what was expected.
        """
        try:
            settings = cls(**overrides)
        except ValidationError as error:
            raise SettingsError(tuple(_sentence(cast("Mapping[str, Any]", each)) for each in error.errors())) from None
        variables = _read_variables()
        for exchange in settings.exchange:
            name = _pairs_variable(exchange)
            if name in variables:
                text = variables[name].text
                try:
                    settings._pairs_by_exchange[exchange] = _check_pairs(cast("tuple[str, ...]", split_list(text)))
                except ValueError as error:
                    raise SettingsError((f"{name}={text!r}: expected {error}",)) from None
        return settings

    def pairs_of(self, exchange: str) -> tuple[str, ...]:
        """The pairs to follow on one exchange."""
        return self._pairs_by_exchange.get(exchange, self.pairs)

    def describe(self) -> dict[str, str]:
        """Every variable that has a value, as it could be set, passwords as stars: for the log on start."""
        values = {name.upper(): mask_password(_text(value)) for name, value in self if value is not None}
        pairs = {_pairs_variable(exchange): _text(pairs) for exchange, pairs in self._pairs_by_exchange.items()}
        return values | {"SIM_START": f"-{self.sim_start // 1000}s"} | pairs

    def sources(self) -> dict[str, Source]:
        """Every variable, also those without a value, and where it was found just now."""
        found = _read_variables()
        names = [*(name.upper() for name in type(self).model_fields), *map(_pairs_variable, self._pairs_by_exchange)]
        return {name: found[name].source if name in found else "default" for name in names}


class _Found(NamedTuple):
    text: str
    source: Source


def _read_variables() -> dict[str, _Found]:
    """What is set, by its name in upper case; what is empty counts as not set."""
    given: tuple[tuple[Source, Mapping[str, str | None]], ...] = (
        (".env", dotenv_values(".env")),
        ("environment", os.environ),
    )
    return {name.upper(): _Found(text, source) for source, texts in given for name, text in texts.items() if text}


def _pairs_variable(exchange: str) -> str:
    return f"PAIRS_{exchange.upper()}"


def _text(value: object) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _sentence(error: Mapping[str, Any]) -> str:
    variable = str(error["loc"][0]).upper() if error["loc"] else "settings"
    expected = str(error["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    return f"{variable}={mask_password(str(error['input']))!r}: expected {expected}"
