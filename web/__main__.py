"""``python -m web check-config | tail | export | top``: the settings of all programs, and candles on a terminal.

The servers are started otherwise: ``python -m web.ws`` and ``gunicorn web.api:app``.
"""

import sys
from collections.abc import Sequence

from ingest.output import ends_when_unread
from web.terminal.app import app


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command and return its exit status."""
    with ends_when_unread():
        try:
            app(None if arguments is None else list(arguments), prog_name="python -m web")
        except SystemExit as ended:
            if isinstance(ended.__context__, BrokenPipeError):  # Typer makes 1 of it
                raise ended.__context__ from None
            return ended.code if isinstance(ended.code, int) else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
