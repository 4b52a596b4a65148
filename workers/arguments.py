"""The command line of ``python -m workers``."""

import argparse
import re
import textwrap
import time
from collections.abc import Callable, Sequence
from typing import Final

from ingest.candle import check_pair
from ingest.errors import CandleError
from ingest.server_address import split_address
from workers.exit_status import DOCTOR_EXPLAINED, EXPLAINED
from workers.letters import Place
from workers.policies import POLICIES
from workers.since import EXPECTED, join_times, parse_since

_BRIDGES: Final = (
    "persist: into the store; fanout: to the live side; rollup: larger candles into the store; "
    "rollup-live: larger candles to the live side"
)
_PLACE: Final = re.compile(r"\A(?:(\d{1,9})/)?(\d{1,18})\Z")
_ADDRESS: Final = re.compile(r"\A[^\s/:]+:\d{1,5}\Z")
MAX_WAIT_SECONDS: Final = 3600.0
MAX_LIMIT: Final = 100_000


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line; ends the process with status 2 and a sentence if it is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m workers", description="The bridges from Kafka to the workers, and what to ask about them."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    bridge = commands.add_parser("bridge", help="read Kafka, send jobs, commit what took effect")
    bridge.add_argument("policy", choices=sorted(POLICIES), help=_BRIDGES)
    _add_verify(commands)
    _add_dlq(commands)
    _add_lag(commands)
    _add_rebuild(commands)
    _add_doctor(commands)
    options = parser.parse_args(join_times(arguments))
    if options.command == "dlq" and options.action == "replay" and options.all == bool(options.places):
        parser.error("dlq replay: expected offsets, or --all")
    return options


def _add_verify(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _command(
        commands,
        "verify",
        "prove that the store holds what Kafka accepted",
        """Compares every candle that Kafka still holds with the store: the store must hold its highest rev, value by
        value, or a newer one. Records that are dead letters are left out. Then compares every larger candle in the
        store with what the store holds below it. Safe beside live traffic: reads up to the ends at the start, writes
        nothing, and looks again at what differs before naming it.""",
    )
    _add_since(
        parser,
        "read records from this time on, by Kafka's record time, and larger candles from its day on (default: all)",
    )
    parser.add_argument(
        "--wait",
        type=_number("seconds", 0, MAX_WAIT_SECONDS, float),
        default=10.0,
        metavar="SECONDS",
        help="how long something may differ before it counts, since a bridge may be behind (default: 10)",
    )
    _add_limit(parser, 1000, "name so many differences; the others are counted")


def _add_dlq(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    dlq = commands.add_parser("dlq", help="dead letters: what could not take effect, and why")
    actions = dlq.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = _command(actions, "list", "the newest dead letters, newest last", "")
    _add_since(listing, "only what was written from this time on")
    _add_limit(listing, 50, "list so many")
    show = _command(actions, "show", "one dead letter: headers, key and payload", "")
    show.add_argument("place", type=_place, metavar="OFFSET", help="as listed: OFFSET or PARTITION/OFFSET")
    replay = _command(
        actions,
        "replay",
        "send what is a valid candle now to the topic again",
        """Reads each payload again as a bridge would. What is a candle now goes to the topic candles under the same
        key; what is not is named and stays. Nothing is deleted. Repeating it is harmless, since a candle only moves
        forward.""",
    )
    replay.add_argument("places", type=_place, nargs="*", metavar="OFFSET", help="OFFSET or PARTITION/OFFSET")
    replay.add_argument("--all", action="store_true", help="every dead letter that Kafka still has")
    replay.add_argument("--dry-run", action="store_true", help="only say what would be done")


def _add_lag(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _command(
        commands,
        "lag",
        "how far each bridge is, per partition",
        """Shows per partition the end, the committed offset, how many records lie between, how many of them are in
        flight (blank if the bridge's metrics do not answer) and how old the first of them is.""",
    )
    parser.add_argument("--watch", action="store_true", help="again every second, until Ctrl-C")
    parser.add_argument(
        "--health",
        type=_health,
        action="append",
        default=[],
        metavar="BRIDGE=HOST:PORT",
        help="where a bridge serves its metrics (default: HEALTH_HOST, and its port from 9102 to 9105)",
    )


def _add_rebuild(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _command(
        commands,
        "rebuild",
        "compute larger candles again from the stored minutes",
        """Makes every candle of 5m, 15m, 30m, 1h, 4h and 1d equal to what the stored minutes of its time say. Writes
        only what differs, and nothing over what somebody else has written meanwhile, so it is safe beside live traffic
        and may be repeated. A candle whose minutes are no longer all held is kept as it is.""",
    )
    parser.add_argument("exchange", metavar="EXCHANGE", help="for example sim")
    parser.add_argument("pair", type=_pair, metavar="PAIR", help="for example BTC-USD")
    _add_time(parser, "--from", "since", "rebuild what holds minutes from this time on (default: the first one)")
    _add_time(parser, "--to", "until", "rebuild what holds minutes up to this time (default: the last one)")


def _add_doctor(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _command(
        commands,
        "doctor",
        "what is wrong with settings and services, and what to do about it",
        """Looks at the settings of all programs, at Kafka with its topics and permissions, at the bridges' lag and the
        dead letters, at Redis, at MongoDB, at their clocks, and at the REST and WebSocket servers. Writes a line for
        each: ok, warning or broken, what was found, and what to do about it. Takes at most 15 seconds, whatever hangs.
        Leaves nothing behind in any service and may be run at any time.""",
        DOCTOR_EXPLAINED,
        "JSON lines, for programs",
    )
    parser.add_argument(
        "--rest",
        type=_url("http://127.0.0.1:8080", "http", "https"),
        metavar="URL",
        help="where the REST server has to be (default: perhaps on this machine at REST_PORT)",
    )
    parser.add_argument(
        "--ws",
        type=_url("ws://127.0.0.1:3004", "ws", "wss", "http", "https"),
        metavar="URL",
        help="where the WebSocket server has to be (default: perhaps on this machine at WS_PORT)",
    )


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    summary: str,
    description: str,
    epilog: str = EXPLAINED,
    json_help: str = "JSON lines, which is also what a pipe or a file gets",
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=summary,
        # The epilog has lines of its own, so nobody else breaks these.
        description=textwrap.fill(" ".join(description.split()) or summary, 100),
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help=json_help)
    return parser


def _add_since(parser: argparse.ArgumentParser, what: str) -> None:
    _add_time(parser, "--since", "since", what)


def _add_time(parser: argparse.ArgumentParser, option: str, name: str, what: str) -> None:
    parser.add_argument(option, dest=name, type=_since, metavar="TIME", help=f"{what}; {EXPECTED}")


def _add_limit(parser: argparse.ArgumentParser, default: int, what: str) -> None:
    limit = _number("a number", 1, MAX_LIMIT, int)
    parser.add_argument("--limit", type=limit, default=default, metavar="N", help=f"{what} (default: {default})")


def _since(text: str) -> int:
    try:
        return parse_since(text, time.time_ns() // 1_000_000)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _pair(text: str) -> str:
    try:
        return check_pair(text)
    except CandleError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _place(text: str) -> Place:
    match = _PLACE.match(text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is no place of a dead letter, expected OFFSET or PARTITION/OFFSET")
    return Place(int(match[1] or 0), int(match[2]))


def _url(example: str, *schemes: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        try:
            parts = split_address(text, example, *schemes)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
        # Whether a WebSocket server lives is asked as any other server is.
        return f"{parts.scheme.replace('ws', 'http')}://{parts.netloc}{parts.path.rstrip('/')}"

    return parse


def _health(text: str) -> tuple[str, str]:
    bridge, _, address = text.partition("=")
    if bridge not in POLICIES or not _ADDRESS.match(address):
        raise argparse.ArgumentTypeError(f"{text!r}: expected {' or '.join(sorted(POLICIES))}, then =HOST:PORT")
    return bridge, address


def _number(what: str, low: float, high: float, kind: Callable[[str], float]) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            number = kind(text)
        except ValueError:
            number = low - 1
        if not low <= number <= high:  # also for NaN
            raise argparse.ArgumentTypeError(f"{text!r}: expected {what} from {low:g} to {high:,.0f}")
        return number

    return parse
