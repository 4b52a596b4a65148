"""The options ``--since``, ``--from`` and ``--to``: a time in the past, as people write it."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

_OPTIONS: Final = ("--since", "--from", "--to")
_UNITS_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION: Final = re.compile(r"\A-?(\d{1,9})([smhd])\Z")
#: Below this (March 1973) a number is more likely a count of seconds than of milliseconds.
_MIN_MS: Final = 10**11

EXPECTED: Final = "a duration like -2h (s, m, h, d), an ISO time like 2026-11-22T18:00Z, or Unix milliseconds"


def parse_since(text: str, now_ms: int) -> int:
    """Read a time before ``now_ms`` (Unix milliseconds); an ISO time without a zone is UTC.

    Raises:
        ValueError: If it is none, or lies in the future.
    """
    duration = _DURATION.match(text)
    if duration:
        return max(0, now_ms - int(duration[1]) * _UNITS_MS[duration[2]])
    time_ms = _milliseconds(text) if text.isascii() and text.isdigit() else _iso(text)
    if time_ms > now_ms:
        raise ValueError(f"{text!r} lies in the future, expected {EXPECTED}")
    return time_ms


def _milliseconds(text: str) -> int:
    # A very long number would take its time to become an int, and is no time either.
    if len(text) > 20 or 0 < int(text) < _MIN_MS:
        raise ValueError(f"{text[:30]!r} is no time in milliseconds, expected {EXPECTED}")
    return int(text)


def _iso(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return max(0, int(moment.timestamp() * 1000))
    except (ValueError, OverflowError):
        raise ValueError(f"{text[:60]!r} is no time, expected {EXPECTED}") from None


def join_times(arguments: Sequence[str]) -> list[str]:
    """Let ``--since -2h`` be one word: argparse takes ``-2h`` for an option of its own."""
    joined: list[str] = []
    for word in arguments:
        if joined and joined[-1] in _OPTIONS and re.match(r"-\d", word):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined
