"""Addresses of servers: what is one, what is shown of it, and whether a proxy may be on the way."""

import pytest

from web.client.address import Address


@pytest.mark.parametrize(
    ("url", "shown", "is_here"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080", True),
        ("http://localhost:8080/", "http://localhost:8080/", True),
        ("https://[::1]", "https://[::1]", True),
        ("https://candles.example", "https://candles.example", False),
        ("https://me:secret@candles.example:8443/api", "https://me:***@candles.example:8443/api", False),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, shown: str, is_here: bool) -> None:
    assert Address.parse(url, "http://127.0.0.1:8080") == Address(url, shown, is_here)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:8080",
        "ws://127.0.0.1:3004",
        "http://",
        "http://h:abc",
        "http://h:99999",
        "http://h:0",
        "http://[::1",
    ],
)
def test_what_is_no_address_is_one_sentence(url: str) -> None:
    with pytest.raises(ValueError, match=r"expected an address like http://127\.0\.0\.1:8080, "):
        Address.parse(url, "http://127.0.0.1:8080")


def test_a_wrong_address_is_shown_without_its_password() -> None:
    with pytest.raises(ValueError, match=r"^'http://me:\*\*\*@h:abc': expected "):
        Address.parse("http://me:secret@h:abc", "http://127.0.0.1:8080")
