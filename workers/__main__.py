"""``python -m workers bridge | verify | dlq | lag | rebuild | doctor``."""

import argparse
import sys
from collections.abc import Callable, Sequence

from ingest.clock import Clock
from ingest.errors import SettingsError
from ingest.log import configure_logging
from ingest.output import ends_when_unread
from workers.arguments import parse_arguments
from workers.bridge_process import run_bridge
from workers.console import Output
from workers.dlq import list_letters, show_letter
from workers.doctor.command import doctor
from workers.errors import WorkersError
from workers.exit_status import UNAVAILABLE, USAGE
from workers.lag import lag
from workers.outcome import status_of
from workers.rebuild import rebuild
from workers.replay import replay_letters
from workers.settings import Settings
from workers.verify import verify

Command = Callable[[argparse.Namespace, Settings, Output], int]

COMMANDS: dict[str, Command] = {
    "verify": verify,
    "dlq list": list_letters,
    "dlq show": show_letter,
    "dlq replay": replay_letters,
    "lag": lag,
    "rebuild": rebuild,
    "doctor": doctor,
}


def main(arguments: Sequence[str] | None = None, *, clock: Clock | None = None) -> int:
    """Run a command and return its exit status; ``clock`` is the time as bridges know it, None the machine's."""
    with ends_when_unread():
        options = parse_arguments(sys.argv[1:] if arguments is None else arguments)
        try:
            settings = Settings.from_env()
        except SettingsError as error:
            print(*error.problems, sep="\n", file=sys.stderr)
            return USAGE
        if options.command != "bridge":
            # What a command has to say is its result; of its libraries only what went wrong.
            configure_logging("error", settings.log_format)
            return run_command(options, settings, Output(options.json))
    configure_logging(settings.log_level, settings.log_format)
    return run_bridge(options.policy, settings, clock)


def run_command(options: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Run a command that someone waits for; what goes wrong is one sentence and an exit status."""
    name = options.command + (f" {options.action}" if "action" in options else "")
    return status_of(lambda: COMMANDS[name](options, settings, output), output, {WorkersError: UNAVAILABLE})


if __name__ == "__main__":
    sys.exit(main())
