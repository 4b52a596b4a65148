"""Whose connection it is: the peer, or whom a trusted proxy speaks for."""

import ipaddress
from collections.abc import Sequence

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class ClientAddresses:
    """Finds the client's address behind proxies that are trusted to say it."""

    def __init__(self, trusted_proxies: Sequence[str]) -> None:
        self._trusted = [ipaddress.ip_network(network) for network in trusted_proxies]

    def of(self, peer: str, forwarded_for: str | None) -> str:
        """The client's address.

        ``X-Forwarded-For`` is read from its end, where the nearest proxy wrote, and only as far as those who wrote
        are trusted: what stands before was sent by the client and may say anything.
        """
        client = peer
        hops = [hop.strip() for hop in forwarded_for.split(",")] if forwarded_for else []
        while hops and self._is_trusted(client):
            candidate = _parse(hops.pop())
            if candidate is None:
                break
            client = str(candidate)
        return client

    def _is_trusted(self, address: str) -> bool:
        parsed = _parse(address)
        return parsed is not None and any(parsed in network for network in self._trusted)


def is_loopback(address: str) -> bool:
    """Whether the address is this machine."""
    parsed = _parse(address)
    return parsed is not None and parsed.is_loopback


def whose(address: str) -> str:
    """Who is counted: the address, or for IPv6 its /64, which is what one customer of a provider gets."""
    parsed = _parse(address)
    if parsed is None:
        # A server on a Unix socket whose proxy is not trusted has none.
        return "unknown"
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def _parse(text: str) -> _Address | None:
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return None
    # A socket that serves both families sees 127.0.0.1 as ::ffff:127.0.0.1.
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped
    return parsed
