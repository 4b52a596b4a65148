"""Workers and a bridge whose script stores and publishes every version of a candle, newer than what is held or not."""

import sys

from workers import fanout, live, persist
from workers.__main__ import main

__all__ = ["fanout", "persist"]

_GUARD = "if held_rev and held_rev >= rev then"

assert _GUARD in live._CANDLE_SCRIPT, "the script's guard is another one now"
live._CANDLE_SCRIPT = live._CANDLE_SCRIPT.replace(_GUARD, "if false then")  # type: ignore[misc]

if __name__ == "__main__":
    sys.exit(main())
