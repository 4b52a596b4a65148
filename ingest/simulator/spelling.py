"""How exchanges spell numbers and times in their frames."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def plain_number(value: Decimal) -> str:
    """A number with at least one decimal and no exponent: ``77400.0``, ``0.25302078``."""
    text = format(value.normalize(), "f")
    return text if "." in text else f"{text}.0"


def java_number(value: Decimal) -> str:
    """A number of 0 or more as Java's ``Double.toString`` spells it: ``8506.3``, ``5.961E-4``, ``1.25E7``, ``0.0``.

    The exponent appears below 0.001 and from ten million on.
    """
    if not value:
        return "0.0"
    if -3 <= value.adjusted() < 7:
        return plain_number(value)
    digits = "".join(map(str, value.normalize().as_tuple().digits))
    return f"{digits[0]}.{digits[1:] or '0'}E{value.adjusted()}"


def rfc3339(unix_ms: int, fraction_digits: int) -> str:
    """A time with 3 or more digits after the seconds: ``2026-09-23T04:33:57.057000000Z``."""
    seconds, milliseconds = divmod(unix_ms, 1000)
    whole = _EPOCH + timedelta(seconds=seconds)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{milliseconds:03}{'0' * (fraction_digits - 3)}Z"
