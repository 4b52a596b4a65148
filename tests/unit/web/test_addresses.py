"""Whose connection it is, with and without proxies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.addresses import ClientAddresses, is_loopback, whose


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded_for", "client"),
    [
        ((), "203.0.113.7", None, "203.0.113.7"),
        # Nobody is trusted: the header is a claim of the client.
        ((), "203.0.113.7", "198.51.100.1", "203.0.113.7"),
        (("10.0.0.0/8",), "10.1.1.1", "198.51.100.1", "198.51.100.1"),
        # The client put an address in front; the proxy appended the true one.
        (("10.0.0.0/8",), "10.1.1.1", "1.2.3.4, 198.51.100.1", "198.51.100.1"),
        (("10.0.0.0/8",), "10.1.1.1", "198.51.100.1, 10.2.2.2", "198.51.100.1"),
        (("10.0.0.0/8",), "10.1.1.1", "198.51.100.1, nonsense", "10.1.1.1"),
        (("10.0.0.0/8",), "10.1.1.1", None, "10.1.1.1"),
        (("::1/128",), "::1", "2001:db8::9", "2001:db8::9"),
        (("127.0.0.1",), "::ffff:127.0.0.1", "198.51.100.1", "198.51.100.1"),
    ],
)
def test_only_trusted_proxies_speak_for_others(
    trusted: tuple[str, ...], peer: str, forwarded_for: str | None, client: str
) -> None:
    found = ClientAddresses(trusted).of(peer, forwarded_for)

    assert found == client


@given(st.text(), st.none() | st.text())
def test_any_header_gives_some_address(peer: str, forwarded_for: str | None) -> None:
    found = ClientAddresses(("10.0.0.0/8",)).of(peer, forwarded_for)

    assert found == peer


def test_loopback_is_this_machine_however_it_is_written() -> None:
    addresses = ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "10.0.0.1", "unknown"]

    loopback = [is_loopback(address) for address in addresses]

    assert loopback == [True, True, True, True, False, False]


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        # As a socket sees it that serves both families.
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("", "unknown"),
        ("evil\r\nkey", "unknown"),
    ],
)
def test_an_address_counts_and_of_ipv6_its_network(address: str, counted: str) -> None:
    assert whose(address) == counted
