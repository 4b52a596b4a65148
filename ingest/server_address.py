"""Addresses of servers, as people write them on command lines."""

from urllib.parse import SplitResult, urlsplit

from ingest.masking import mask_password


def split_address(text: str, example: str, *schemes: str) -> SplitResult:
    """The parts of the address of a server that is reached by one of these schemes.

    Raises:
        ValueError: If it is none; the text is the sentence, with ``example`` as what was expected.
    """
    try:
        parts = urlsplit(text)
        # A port is looked at only when it is asked for, and a name of a host not before it is looked up.
        is_good = parts.scheme in schemes and bool((parts.hostname or "").encode("idna")) and parts.port != 0
    except ValueError:
        is_good = False
    # Nothing unseen: urlsplit leaves some of it out, and others do not.
    if not is_good or not text.isprintable() or " " in text:
        expected = f"an address like {example}, with a port from 1 to 65535"
        raise ValueError(f"{mask_password(text)!r}: expected {expected}") from None
    return parts
