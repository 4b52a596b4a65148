"""Addresses of servers: what is none gets a sentence, whatever it is."""

from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingest.server_address import split_address

EXAMPLE = "http://127.0.0.1:8080"


@pytest.mark.parametrize(
    "text", ["http://h", "https://h:1/api/", "http://user:p@h:65535", "http://[::1]:80", "http://bücher.example"]
)
def test_an_address_is_split(text: str) -> None:
    assert split_address(text, EXAMPLE, "http", "https") == urlsplit(text)


@pytest.mark.parametrize(
    "text",
    [
        "ws://h",
        "h:80",
        "http://",
        "http://:80",
        "http://h:abc",
        "http://h:99999",
        "http://h:0",
        "http://[::1",
        "http://a..b",
        "http://h h",
        " http://h",
        "http://h\n",
        "http://\udcff",
        f"http://{'a' * 64}",
    ],
)
def test_what_is_none_gets_a_sentence(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"expected an address like http://127\.0\.0\.1:8080, with a port from 1 to"
    ) as error:
        split_address(text, EXAMPLE, "http", "https")

    assert str(error.value).startswith(f"{text!r}: ")


def test_a_password_is_not_repeated() -> None:
    with pytest.raises(ValueError, match=r"^'http://user:\*\*\*@h:abc': expected"):
        split_address("http://user:secret@h:abc", EXAMPLE, "http")


@given(st.text(), st.text())
@example("h", "٣")
def test_it_is_good_or_a_sentence_and_nothing_else(host: str, port: str) -> None:
    try:
        parts = split_address(f"http://{host}:{port}", EXAMPLE, "http")
    except ValueError as error:
        assert "expected an address like" in str(error)  # noqa: PT017
    else:
        assert parts.hostname
        assert parts.port is None or 0 < parts.port < 65_536
