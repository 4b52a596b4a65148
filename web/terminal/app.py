"""The commands with their options and help texts; what goes wrong becomes one sentence and an exit status."""

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import typer

from ingest.candle import Interval
from ingest.check_config import check_config
from ingest.errors import CandleError, SettingsError
from ingest.log import configure_logging
from web.client import Client, ClientError, NotInstalled, Refused, stream
from web.settings import Settings
from web.terminal import options
from web.terminal.export import ExportError, Request, prepare
from web.terminal.layouts import ExportFormat
from web.terminal.tail import ReceivedLines, json_line, tail
from web.terminal.top import Top
from workers.console import Output
from workers.exit_status import DIFFERENT, UNAVAILABLE, USAGE
from workers.outcome import status_of

#: What errors mean, the special ones first.
_STATUSES: Final = {
    Refused: DIFFERENT,
    NotInstalled: USAGE,
    ClientError: UNAVAILABLE,
    ExportError: USAGE,
    SettingsError: USAGE,
    CandleError: USAGE,
}

# Plain text: help is read in pipes and by screen readers as well.
app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Candles from running servers, on a terminal, in a pipe or in a file; and the settings of all programs.",
)


@app.command("check-config", epilog=options.CHECK_CONFIG_STATUS)
def check_config_command() -> None:
    """Print the settings of all programs, or what is wrong with them.

    Each with its value, secrets as stars, and where it comes from: the environment, the file .env, or the default.
    Asks no service.

    \b
    Examples:
      python -m web check-config
      WS_PORT=3005 python -m web check-config | grep WS_
    """
    raise typer.Exit(check_config(Settings.from_env))


@app.command("tail", epilog=options.EXIT_STATUS)
def tail_command(
    pairs: options.Pairs,
    exchange: options.Exchange = None,
    interval: options.IntervalOption = Interval.M1,
    since: Annotated[str | None, options.time_option("--since", "Begin with the history from this time on")] = None,
    finals: Annotated[
        bool, typer.Option("--finals", help="Only candles that are final, each once and in their order.")
    ] = False,
    json: options.Json = False,
    count: Annotated[
        int | None, typer.Option("--count", "-n", min=1, metavar="N", help="End after so many candles.")
    ] = None,
    url: options.Url = None,
    ws_url: options.WsUrl = None,
) -> None:
    """Print candles as they change, until Ctrl-C.

    A line is RECEIVED: and what a client of the line protocol gets, or with --json everything that is known of the
    candle. Connections that break are made again, and what changed meanwhile is printed then; what is in the way is
    said on standard error.

    \b
    Examples:
      python -m web tail BTC-USD
      python -m web tail BTC-USD ETH-USD --interval 1h --json
      python -m web tail BTC-USD --finals --since -2h | grep -c RECEIVED
    """
    output = Output(json)

    def write(line: str) -> None:
        sys.stdout.write(line)
        sys.stdout.flush()

    def run() -> None:
        candles = stream(
            pairs,
            exchange=exchange,
            interval=interval.value,
            since=None if since is None else options.milliseconds_of(since),
            finals_only=finals,
            url=options.rest_url(url),
            ws_url=options.websocket_url(ws_url),
            on_trouble=output.error,
        )
        asyncio.run(tail(candles, write, json_line if json else ReceivedLines(), count))

    _finish(run, output)


@app.command("export", epilog=options.EXIT_STATUS)
def export_command(
    pair: options.Pair,
    target: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Where the candles go; for freqtrade its data folder will do."
        ),
    ],
    since: Annotated[
        str | None, options.time_option("--from", "The first open time; without it from the first candle")
    ] = None,
    until: Annotated[
        str | None, options.time_option("--to", "The last open time, inclusive; without it up to now")
    ] = None,
    interval: options.IntervalOption = Interval.M1,
    layout: Annotated[ExportFormat, typer.Option("--format", help="How they are written.")] = ExportFormat.CSV,
    finals: Annotated[bool, typer.Option("--finals", help="Only candles that are final.")] = False,
    exchange: options.Exchange = None,
    json: Annotated[
        bool, typer.Option("--json", help="Say the result as JSON, which is also what a pipe or a file gets.")
    ] = False,
    url: options.Url = None,
) -> None:
    """Write the history of a pair into a file, oldest first.

    Needs the memory of one page, however many candles there are. After an interruption the same command goes on where
    it stopped: what has come is in FILE.part, and FILE.progress says of what it is. The file gets its name when it is
    complete. csv and ndjson have everything that is known of a candle, as /api/candles writes it; parquet the same in
    exact decimals, and needs pyarrow, and while it is written about 280 bytes of disk for each candle; freqtrade is the
    JSON of freqtrade's data folder. Progress is a bar with the time that is left, or JSON lines where nobody watches.

    \b
    Examples:
      python -m web export BTC-USD -o btc.csv
      python -m web export BTC-USD --from 2026-11-01 --to 2026-11-08 --interval 5m --format parquet -o btc.parquet
      python -m web export BTC-USD --from -30d --format freqtrade --finals -o user_data/data/kraken
    """
    output = Output(json)

    def run() -> None:
        began_at = time.monotonic()
        address = options.rest_url(url)
        request = Request(address, pair, exchange, interval.value, since, until, finals, layout)
        export = prepare(target, request, options.milliseconds_of, time.time_ns() // 1_000_000)
        if export.progress.candles:
            output.error(f"going on behind {export.progress.candles:,} candles that are in {export.target}.part")
        try:
            with Client(address) as client:
                candles = export.run(client, output.progress)
        except (ClientError, KeyboardInterrupt):
            if export.progress.candles:
                output.error(export.how_to_go_on)
            raise
        seconds = round(time.monotonic() - began_at, 1)
        if output.as_json:
            output.line({"file": str(export.target), "candles": candles, "seconds": seconds})
        else:
            output.say(f"{candles:,} candles in {export.target}, {seconds:g} s")

    _finish(run, output)


@app.command("top", epilog=options.EXIT_STATUS)
def top_command(
    exchange: options.Exchange = None,
    json: Annotated[
        bool, typer.Option("--json", help="Write JSON lines once a second, which is also what a pipe or a file gets.")
    ] = False,
    count: Annotated[
        int | None, typer.Option("--count", "-n", min=1, metavar="N", help="End after all were shown so often.")
    ] = None,
    url: options.Url = None,
    ws_url: options.WsUrl = None,
) -> None:
    """Show all pairs as a table that lives, until Ctrl-C.

    Last price, change since 00:00 UTC in percent, state of the newest candle and of the exchange's feed, age of the
    newest version, and changes a second over the last ten.

    \b
    Examples:
      python -m web top
      python -m web top --exchange kraken
      python -m web top --json -n 1
    """
    output = Output(json)

    def run() -> None:
        top = Top(output, options.rest_url(url), options.websocket_url(ws_url), exchange, count)
        asyncio.run(top.run())

    _finish(run, output)


def _finish(command: Callable[[], None], output: Output) -> None:
    """Carry a command out and end with its exit status."""
    # What a command has to say is its result; of its libraries only what went wrong.
    configure_logging("error", None)
    raise typer.Exit(status_of(command, output, _STATUSES))
