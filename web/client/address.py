"""Where a server is: checked before anything is sent, shown without its password."""

from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from ingest.masking import mask_password
from ingest.server_address import split_address
from web.addresses import is_loopback


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a server of ours; ``shown`` is for people."""

    url: str
    shown: str
    #: Of this machine: a proxy for the way out is none for the way to it.
    is_here: bool

    @classmethod
    def parse(cls, url: str, example: str) -> Self:
        """Read an address that has a scheme of the example's, with or without TLS.

        Raises:
            ValueError: If it is none.
        """
        scheme = urlsplit(example).scheme
        parts = split_address(url, example, scheme, scheme + "s")
        host = parts.hostname or ""
        return cls(url, mask_password(url), host == "localhost" or is_loopback(host))
