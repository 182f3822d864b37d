"""Which network addresses a download may go to: public unicast ones, and private ones that somebody has listed.

The blocks are those of IANA's special-purpose registers for IPv4 and IPv6 (2026-11), embedded because Python's own
`is_global` let NAT64, 6to4, multicast and a cloud's metadata address through in versions we support.

Through a proxy it is the proxy that looks names up, so that all that can be held against the blocks is a number.
"""

from __future__ import annotations

import asyncio
import re
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from aiohttp.abc import AbstractResolver, ResolveResult

from batchgen.domain.images_from import NOTHING_MORE, ImagesFrom, entry_for, entry_for_network

_LOOPBACK = "loopback"
_NEAR = ("localhost", "local", "internal", "home.arpa")  # names below these are of a machine or its network
_NUMBER = re.compile(r"(?:0x[0-9a-f]*|\d+)\Z")

_V4: tuple[tuple[IPv4Network, str], ...] = tuple(
    (IPv4Network(block), name)
    for block, name in (
        ("0.0.0.0/8", "this network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared by a carrier"),
        ("127.0.0.0/8", _LOOPBACK),
        ("168.63.129.16/32", "Azure's platform"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "protocol assignments"),
        ("192.0.2.0/24", "documentation"),
        ("192.31.196.0/24", "AS112"),
        ("192.52.193.0/24", "AMT relays"),
        ("192.88.99.0/24", "6to4 relays"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "AS112"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)
_UNICAST = IPv6Network("2000::/3")
_V6: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(block), name)
    for block, name in (
        ("::/128", "unspecified"),
        ("::1/128", _LOOPBACK),
        ("::/96", "IPv4-compatible"),
        ("::ffff:0:0/96", "IPv4-mapped"),
        ("64:ff9b::/96", "NAT64"),
        ("64:ff9b:1::/48", "NAT64"),
        ("100::/64", "discarded"),
        ("100:0:0:1::/64", "dummy prefix"),
        ("2001::/23", "protocol assignments"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4"),
        ("2620:4f:8000::/48", "AS112"),
        ("3fff::/20", "documentation"),
        ("5f00::/16", "segment routing"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
)


def forbidden(text: str) -> str:
    """Say why an address may not be gone to, "" when it may.

    >>> forbidden("64:ff9b::7f00:1"), forbidden("1.1.1.1")
    ('NAT64', '')
    """
    try:
        address = ip_address(text)
    except ValueError:
        return "no address"
    if isinstance(address, IPv4Address):
        return next((name for block, name in _V4 if address in block), "")
    return _forbidden_v6(address)


def is_loopback(host: str) -> bool:
    """Tell whether a host, by name or number, is this machine without asking anyone."""
    return host == "localhost" or forbidden(host) == _LOOPBACK


def _forbidden_v6(address: IPv6Address) -> str:
    if address.scope_id is not None:
        return "scoped"
    for block, name in _V6:
        if address in block:
            return name
    return "" if address in _UNICAST else "not public"


class AddressRefused(OSError):
    """An address that downloads do not go to. Stays inside this package; aiohttp hands it through as an OSError.

    Attributes:
        allow: the entry of `images_from` that would let it be gone to, "" where none does.
    """

    def __init__(self, why: str, allow: str = "") -> None:
        self.allow = allow
        super().__init__(why)


class CheckedResolver(AbstractResolver):
    """Looks names up and refuses them unless every address is of the one kind that is wanted.

    Args:
        loopback: whether this machine is what is wanted; else public addresses are.
        images_from: what may be gone to beside them.
    """

    def __init__(self, *, loopback: bool, images_from: ImagesFrom = NOTHING_MORE) -> None:
        self._loopback = loopback
        self._images_from = images_from

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Look up the addresses of a name.

        Raises:
            AddressRefused: one of them is not to be gone to.
            OSError: the name is not known.
        """
        infos = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, family=family, flags=socket.AI_ADDRCONFIG
        )
        found: list[ResolveResult] = []
        for kind, _, proto, _, address in infos:
            check(str(address[0]), port, loopback=self._loopback, images_from=self._images_from)
            found.append(
                {
                    "hostname": host,
                    "host": str(address[0]),
                    "port": port,
                    "family": kind,
                    "proto": proto,
                    "flags": socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
                }
            )
        return found

    async def close(self) -> None:
        """Do nothing: nothing is held open."""


def check_unresolved(host: str, port: int, images_from: ImagesFrom) -> None:
    """Let a host pass that a proxy will look up: by what its name says, which is not where it leads.

    Raises:
        AddressRefused: it is an address that is not public, or a name of the network around the proxy.
    """
    name = host.lower().rstrip(".")
    if images_from.allows("https", name, port) or images_from.allows("http", name, port):
        return
    if ":" in name or _NUMBER.match(name.rpartition(".")[2]):  # 127.1, too, is an address to those who look it up
        check(name, port, loopback=False, images_from=images_from)
    elif "." not in name or any(name.endswith(f".{near}") for near in _NEAR):
        raise AddressRefused(f"{name[:253]} is a name of the proxy's own network", entry_for("https", name, port))


def check(address: str, port: int, *, loopback: bool, images_from: ImagesFrom = NOTHING_MORE) -> None:
    """Let an address pass.

    Raises:
        AddressRefused: it is not of the kind that is wanted.
    """
    why = forbidden(address)
    if loopback and why != _LOOPBACK:
        raise AddressRefused(f"{address} is not loopback")
    if not loopback and why and not images_from.allows_network(address, port):
        raise AddressRefused(f"{address} is not a public address ({why})", entry_for_network(address))
