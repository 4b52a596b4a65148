"""The settings that the REST and WebSocket servers read, beside those of ingest and the workers."""

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

import workers.settings
from ingest.settings import Port, split_list

_ORIGIN = re.compile(r"\Ahttps?://[^\s/,*]+\Z")
#: It becomes part of a header, where blanks, commas and semicolons have a meaning.
_SOCKET_URL = re.compile(r"\Awss?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?\Z")


def _check_origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    if origins != ("*",) and not all(_ORIGIN.match(origin) for origin in origins):
        raise ValueError("* or origins like https://example.org, comma-separated")
    return origins


def _check_networks(networks: tuple[str, ...]) -> tuple[str, ...]:
    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError:
            raise ValueError("addresses or networks like 10.0.0.0/8, comma-separated") from None
    return networks


def _check_socket_url(url: str) -> str:
    if not _SOCKET_URL.match(url):
        raise ValueError("an address like wss://example.org/live")
    return url


Origins = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_list), AfterValidator(_check_origins)]
Networks = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_list), AfterValidator(_check_networks)]


class Settings(workers.settings.Settings):
    """What the REST and WebSocket servers need; names in upper case are the variables."""

    bind_host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    rest_port: Port = 8080
    ws_port: Port = 3004
    #: Where web pages reach the WebSocket server; None: on the host they came from, at ``ws_port``.
    ws_public_url: Annotated[str, AfterValidator(_check_socket_url)] | None = None

    #: Origins of web pages that may read; ``*``: any. The data is public, read-only and without credentials.
    ws_origins: Origins = ("*",)
    cors_origins: Origins = ("*",)
    #: Peers whose ``X-Forwarded-For`` is believed.
    trusted_proxies: Networks = ()

    ws_processes: Annotated[int, Field(ge=1, le=64)] = 1
    web_concurrency: Annotated[int, Field(ge=1, le=64)] = 2

    #: Limits of the WebSocket server; connections count per process.
    ws_max_connections: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    ws_max_connections_per_address: Annotated[int, Field(ge=1, le=1_000_000)] = 50
    ws_max_subscriptions: Annotated[int, Field(ge=1, le=10_000)] = 200
    ws_max_commands_per_second: Annotated[float, Field(gt=0, le=10_000)] = 10.0
    ws_max_burst: Annotated[int, Field(ge=1, le=100_000)] = 50
    ws_max_frame_bytes: Annotated[int, Field(ge=128, le=1_048_576)] = 16_384
    #: How long a client may stay without a subscription (seconds).
    ws_max_idle_seconds: Annotated[float, Field(gt=0, le=3600)] = 30.0
    #: Rows that may wait for a client that reads too slowly.
    ws_max_waiting_rows: Annotated[int, Field(ge=10, le=1_000_000)] = 5_000
    #: Frames in a row that cannot be read.
    ws_max_bad_frames: Annotated[int, Field(ge=1, le=10_000)] = 10
    #: Bytes in a client's socket buffer; must hold the largest snapshot beside what waits already.
    ws_max_buffer_bytes: Annotated[int, Field(ge=262_144, le=67_108_864)] = 262_144
    #: How long a client may take nothing of what waits for it (seconds).
    ws_max_stall_seconds: Annotated[float, Field(gt=0, le=3600)] = 10.0

    #: REST requests per minute and client address; 0: any number.
    rest_max_requests_per_minute: Annotated[int, Field(ge=0, le=1_000_000)] = 0

    #: `/health` finds a candle too old when its interval ended longer ago than this (seconds).
    max_candle_age_seconds: Annotated[int, Field(ge=1, le=86_400)] = 180

    @property
    def configured(self) -> dict[str, tuple[str, ...]]:
        """Exchange → the pairs that are to be followed on it."""
        return {exchange: self.pairs_of(exchange) for exchange in self.exchange}
