"""``check-config``: are the settings good, and where does each come from? The same for the settings of every layer."""

import sys
from collections.abc import Callable
from typing import Final

from ingest.errors import SettingsError
from ingest.exchanges import adapter_for
from ingest.settings import Settings

GOOD: Final = 0
BAD: Final = 2


def check_config(read: Callable[[], Settings]) -> int:
    """Print every setting, or one sentence per bad one on standard error; returns the exit status, 0 or 2.

    What is printed is a ``.env`` file: each variable with its value, secrets as stars, and as a comment where the value
    comes from; then, as comments too, what is followed where.

    Args:
        read: Reads the settings; may raise `SettingsError`.
    """
    try:
        settings = read()
        adapters = {exchange: adapter_for(exchange, settings) for exchange in settings.exchange}
    except SettingsError as error:
        print(*error.problems, sep="\n", file=sys.stderr)
        return BAD
    values = settings.describe()
    for name, source in settings.sources().items():
        print(f"{name}={values.get(name, '')}  # {source}")
    for exchange, adapter in adapters.items():
        print(f"# {exchange}: {adapter.url} pairs {','.join(settings.pairs_of(exchange))}")
    return GOOD
