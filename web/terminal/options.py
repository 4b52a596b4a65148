"""Options that the commands share: how they are written, and what is said about a bad one."""

import time
from typing import Annotated, Final

import typer

from ingest.candle import EXCHANGE_PATTERN, Interval, check_pair
from ingest.errors import CandleError
from ingest.server_address import split_address
from web.settings import Settings
from workers.since import EXPECTED, parse_since

EXIT_STATUS: Final = """\b
exit status:
  0    done
  1    the server refuses it: an unknown pair, for example
  2    bad usage, a bad setting, a file that cannot be written, or a package that is missing
  3    the server does not answer, or what answers is not this server
  130  ended by Ctrl-C
  141  nobody reads the output any more
"""
CHECK_CONFIG_STATUS: Final = """\b
exit status:
  0  all settings are good
  2  some are not, and there is a sentence for each on standard error
"""


def _pair(text: str) -> str:
    try:
        return check_pair(text)
    except CandleError as error:
        raise typer.BadParameter(str(error)) from None


def _exchange(text: str) -> str:
    if not EXCHANGE_PATTERN.match(text):
        raise typer.BadParameter(f"{text!r}: expected 1 to 20 lower-case letters or digits, for example sim")
    return text


def _time(text: str) -> str:
    try:
        milliseconds_of(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    # As it was written: the same command must be the same again later, when `-2h` is another time.
    return text


def milliseconds_of(text: str) -> int:
    """A time as people write it, as Unix milliseconds.

    Raises:
        ValueError: If it is none, or lies in the future.
    """
    return parse_since(text, time.time_ns() // 1_000_000)


def _http(text: str) -> str:
    return _address(text, "http://127.0.0.1:8080", "http", "https")


def _websocket(text: str) -> str:
    return _address(text, "ws://127.0.0.1:3004", "ws", "wss")


def _address(text: str, example: str, *schemes: str) -> str:
    try:
        split_address(text, example, *schemes)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return text.rstrip("/")


Pair = Annotated[str, typer.Argument(metavar="PAIR", parser=_pair, help="A pair, for example BTC-USD.")]
Pairs = Annotated[
    list[str], typer.Argument(metavar="PAIR", parser=_pair, help="One or more pairs, for example BTC-USD.")
]
Exchange = Annotated[
    str | None,
    typer.Option(metavar="NAME", parser=_exchange, help="Whose candles; without it those of the server's first."),
]
IntervalOption = Annotated[Interval, typer.Option("--interval", help="How long a candle lasts.")]
Json = Annotated[bool, typer.Option("--json", help="Write one JSON object per line, with everything that is known.")]
Url = Annotated[
    str | None,
    typer.Option(metavar="URL", parser=_http, help="Where the REST API is; without it on this machine at REST_PORT."),
]
WsUrl = Annotated[
    str | None,
    typer.Option(
        metavar="URL", parser=_websocket, help="Where the WebSocket server is; without it on this machine at WS_PORT."
    ),
]


def time_option(name: str, what: str) -> typer.models.OptionInfo:
    """An option that takes a time."""
    option: typer.models.OptionInfo = typer.Option(name, metavar="TIME", parser=_time, help=f"{what}; {EXPECTED}.")
    return option


def rest_url(given: str | None) -> str:
    """Where the REST API is."""
    return given or f"http://127.0.0.1:{Settings.from_env().rest_port}"


def websocket_url(given: str | None) -> str:
    """Where the WebSocket server is."""
    return given or f"ws://127.0.0.1:{Settings.from_env().ws_port}"
