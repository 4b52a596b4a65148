"""``python -m web check-config``: are the settings of all programs good?

Bad settings of the layers below end it while those are imported, so they are told before the ones of this layer.
"""

import sys

from ingest.errors import SettingsError
from ingest.exchanges import adapter_for
from web.settings import Settings
from workers.exit_status import FINE, USAGE


def check_config() -> int:
    """Print every setting with passwords as stars and return 0, or one sentence per bad one and return 2."""
    try:
        settings = Settings.from_env()
        for exchange in settings.exchange:
            adapter_for(exchange, settings)
    except SettingsError as error:
        print("\n".join(error.problems), file=sys.stderr)
        return USAGE
    for name, value in settings.describe().items():
        print(f"{name}={value}")
    return FINE
