"""Which addresses downloads may go to."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from batchgen.gateway.address import AddressRefused, CheckedResolver, check, forbidden, is_loopback

REFUSED = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:10::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "2606:4700::1%eth0",
    "fec0::1",
    "ff02::1",
    "127.1",
    "0x7f.1",
    "2130706433",
    "0177.0.0.1",
    "localhost",
    "",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "172.32.0.1",
    "198.20.0.1",
    "223.255.255.255",
    "2606:4700::1111",
    "2a00:1450::1",
]


@pytest.mark.parametrize("address", REFUSED)
def test_address_is_refused_when_it_is_not_public(address: str) -> None:
    assert forbidden(address)
    with pytest.raises(AddressRefused):
        check(address, 443, loopback=False)


@pytest.mark.parametrize("address", PUBLIC)
def test_address_passes_when_it_is_public(address: str) -> None:
    assert forbidden(address) == ""
    check(address, 443, loopback=False)
    with pytest.raises(AddressRefused):
        check(address, 443, loopback=True)


def test_address_passes_as_loopback_when_only_loopback_is_wanted() -> None:
    check("127.0.0.1", 443, loopback=True)
    check("::1", 443, loopback=True)
    for address in ("0.0.0.0", "::ffff:127.0.0.1", "10.0.0.1"):
        with pytest.raises(AddressRefused):
            check(address, 443, loopback=True)


def test_loopback_is_told_without_asking_anyone() -> None:
    assert [is_loopback(host) for host in ("localhost", "127.0.0.1", "127.9.9.9", "::1")] == [True] * 4
    assert [is_loopback(host) for host in ("", "localhost.example.com", "example.com", "0.0.0.0", "10.0.0.1")] == [
        False
    ] * 5


def answering(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Let every name resolve to these addresses."""

    async def getaddrinfo(self: Any, host: str, port: int, **options: Any) -> list[Any]:
        return [
            (socket.AF_INET6 if ":" in each else socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port))
            for each in addresses
        ]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)


async def test_resolver_gives_every_address_when_all_are_public(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, "1.1.1.1", "2606:4700::1111")
    found = await CheckedResolver(loopback=False).resolve("cdn.example.com", 443)
    assert [(each["host"], each["port"]) for each in found] == [("1.1.1.1", 443), ("2606:4700::1111", 443)]


async def test_resolver_refuses_a_name_when_one_of_its_addresses_is_not_public(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, "1.1.1.1", "10.0.0.1")
    with pytest.raises(AddressRefused, match=r"10\.0\.0\.1"):
        await CheckedResolver(loopback=False).resolve("cdn.example.com", 443)
