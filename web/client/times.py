"""Times as callers give them: Unix milliseconds, or a datetime with a time zone."""

from datetime import datetime

#: Unix milliseconds UTC, or a datetime with a time zone.
Time = int | datetime


def milliseconds(time: Time) -> int:
    """The time in Unix milliseconds.

    Raises:
        ValueError: If it is before 1970, or a datetime without a time zone, which could mean any of 24 hours.
    """
    if isinstance(time, datetime):
        if time.tzinfo is None:
            raise ValueError(f"{time.isoformat()} has no time zone: expected for example datetime(..., tzinfo=UTC)")
        time = int(time.timestamp() * 1000)
    if time < 0:
        raise ValueError(f"{time} is before 1970: expected Unix milliseconds from 0")
    return time
