"""Exchange timestamps (RFC 3339 text) to Unix milliseconds."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
#: Narrower than what `datetime.fromisoformat` reads: week dates and missing zones are not RFC 3339.
_RFC3339: Final = re.compile(
    r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,12})?(Z|[+-][0-9]{2}:[0-9]{2})\Z"
)


def unix_ms(text: object) -> int | None:
    """Unix milliseconds of an RFC 3339 time, finer digits cut off; None if ``text`` is not one."""
    if not isinstance(text, str) or not _RFC3339.match(text):
        return None
    try:
        return (datetime.fromisoformat(text) - _EPOCH) // _MILLISECOND
    except (ValueError, OverflowError):  # the 30th of February; year 1 east of Greenwich
        return None
