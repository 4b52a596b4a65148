"""Addresses without their secrets, for logs and people."""

import re


def mask_password(text: str) -> str:
    """Replace secrets in an address by stars: ``redis://user:password@host``, ``…?password=…`` and the like."""
    # Up to the last @: a password that should have been percent-encoded must not be shown in half.
    text = re.sub(r"(://[^:/@\s]*:)\S*@", r"\1***@", text)
    # MongoDB's addresses may have one for a key file, and a cloud's token among the properties of its mechanism.
    return re.sub(r"(?i)([?&](?:[^=&\s]*password|authMechanismProperties)=)[^&\s]*", r"\1***", text)
