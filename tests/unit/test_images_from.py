"""What `images_from` may say, and what it lets be gone to."""

from __future__ import annotations

import pytest

from batchgen.domain.images_from import ImagesFrom, entry_for, entry_for_network

ALLOWED = [
    ("http://img.example", "http", "img.example", 80),
    ("http://img.example:8080", "http", "img.example", 8080),
    ("https://img.example:8443", "https", "img.example", 8443),
    ("http://*.img.example", "http", "a.b.img.example", 80),
    ("https://10.0.0.5", "https", "10.0.0.5", 443),
    ("http://127.0.0.1:9000", "http", "127.0.0.1", 9000),
    ("http://[fd00::5]:9000", "http", "fd00::5", 9000),
]
NOT_ALLOWED = [
    ("http://img.example", "https", "img.example", 80),
    ("http://img.example", "http", "img.example", 8080),
    ("http://img.example", "http", "evil.img.example", 80),
    ("http://img.example", "http", "evilimg.example", 80),
    ("http://*.img.example", "http", "img.example", 80),
    ("http://*.img.example", "http", "evilimg.example", 80),
    ("https://img.example:8443", "http", "img.example", 8443),
]
STRANGE = [
    *(
        "",
        "img.example",
        "*",
        "*.img.example",
        "ftp://img.example",
        "http://",
        "http://*",
        "http://*.com",
        "http://*.1",
    ),
    *(
        "https://img.example",
        "https://img.example:443",
        "http://img.example/path",
        "http://u@img.example",
        "http://a b",
    ),
    *("http://IMG.example", "http://bücher.example", "http://img.example:0", "http://img.example:99999", "http://-.:x"),
    *("http://img..example", "http://*.10.0.0.1", "http://img.example?x", "http://[::1", "http://169.254.169.254"),
    *("0.0.0.0/0", "::/0", "8.8.8.8", "169.254.169.254", "169.254.0.0/16", "224.0.0.0/4", "10.0.0.5/8", "10.0.0.0/7"),
    *("168.63.129.16", "fe80::1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "http://0.0.0.0"),
]


@pytest.mark.parametrize(("entry", "scheme", "host", "port"), ALLOWED)
def test_entry_allows_what_it_says(entry: str, scheme: str, host: str, port: int) -> None:
    assert ImagesFrom.of([entry]).allows(scheme, host, port)


@pytest.mark.parametrize(("entry", "scheme", "host", "port"), NOT_ALLOWED)
def test_entry_allows_nothing_else(entry: str, scheme: str, host: str, port: int) -> None:
    assert not ImagesFrom.of([entry]).allows(scheme, host, port)


@pytest.mark.parametrize("entry", STRANGE)
def test_entry_is_refused_that_allows_nothing_or_too_much(entry: str) -> None:
    with pytest.raises(ValueError, match=r"must|is no|allowed|never|not a private"):
        ImagesFrom.of([entry])


def test_network_allows_private_addresses_by_any_name() -> None:
    some = ImagesFrom.of(["10.0.0.0/8", "http://192.168.1.5:9000", "http://img.example"])
    assert some.allows_network("10.1.2.3", 443)
    assert some.allows_network("192.168.1.5", 9000)
    special = ImagesFrom.of(["http://168.63.129.16"])  # public by its number, and a cloud's own all the same
    assert not special.allows_network("168.63.129.16", 80)
    for address, port in (("192.168.1.5", 443), ("192.168.1.6", 9000), ("169.254.169.254", 80), ("none", 1)):
        assert not some.allows_network(address, port)


def test_suggested_entry_is_one_that_is_taken() -> None:
    assert entry_for("http", "img.example", 80) == "http://img.example"
    assert entry_for("https", "fd00::5", 9000) == "https://[fd00::5]:9000"
    assert entry_for("http", "169.254.169.254", 80) == ""
    assert entry_for("ftp", "img.example", 21) == ""
    assert entry_for_network("10.0.0.5") == "10.0.0.5"
    assert entry_for_network("198.18.3.4") == "198.18.0.0/15"
    assert entry_for_network("169.254.169.254") == entry_for_network("none") == ""
