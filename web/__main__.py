"""``python -m web check-config``: are the settings of all programs good?

Bad settings of the layers below end it while those are imported, so they are told before the ones of this layer.

The servers are started otherwise: ``python -m web.ws`` and ``gunicorn web.api:app``.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Final

from ingest.errors import SettingsError
from ingest.exchanges import adapter_for
from web.settings import Settings

EXIT_SETTINGS: Final = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Print every setting with passwords as stars and return 0, or one sentence per bad one and return 2."""
    parser = argparse.ArgumentParser(prog="python -m web", description="Settings of all programs.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check-config", help="print the settings in effect, or what is wrong with them")
    parser.parse_args(arguments)
    try:
        settings = Settings.from_env()
        for exchange in settings.exchange:
            adapter_for(exchange, settings)
    except SettingsError as error:
        print("\n".join(error.problems), file=sys.stderr)
        return EXIT_SETTINGS
    for name, value in settings.describe().items():
        print(f"{name}={value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
