"""What a client sent, as an error repeats it: short and printable, since it ends up on screens and in logs."""

from typing import Final

_SHOWN_CHARACTERS: Final = 60
_REASON_CHARACTERS: Final = 160


def shown(text: str) -> str:
    """What a client sent, in quotes, shortened and in printable ASCII."""
    return ascii(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…")


def reason(error: Exception) -> str:
    """An error's words, which may repeat what a client sent, shortened and in printable ASCII."""
    text = str(error)
    return ascii(text if len(text) <= _REASON_CHARACTERS else text[:_REASON_CHARACTERS] + "…")[1:-1]
