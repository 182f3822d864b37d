"""Where images may be fetched from beside public https addresses: what `images_from:` lists."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

_PORTS = {"https": 443, "http": 80}
USUAL_PORTS = frozenset(_PORTS.values())
"""Ports that https addresses may have anyway."""

# Networks that are a user's own, or that a proxy on the user's machine invents; no others are ever gone to, whatever
# anybody lists: a cloud's metadata and what is not unicast above all.
_OWN = tuple(
    ip_network(block)
    for block in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "198.18.0.0/15"),
        *("::1/128", "fc00::/7"),
    )
)
_INVENTED = ip_network("198.18.0.0/15")  # local proxies give every name an address of it, another each time
_ORIGIN = re.compile(r"(https?)://(\*\.)?(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::([1-9]\d{0,4}))?\Z")
_LABELS = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\Z")
_EXAMPLES = "such as http://img.example, https://*.img.example:8443, or 10.0.0.0/8"


@dataclass(frozen=True, slots=True)
class ImageHost:
    """A host that images may come from, by one scheme and port.

    Attributes:
        host: a name in ASCII, or an IP address without brackets.
        below: whether the hosts below it are meant, and not itself.
    """

    scheme: str
    host: str
    port: int
    below: bool = False

    def matches(self, scheme: str, host: str, port: int | None) -> bool:
        """Tell whether an address is of this host."""
        named = host.endswith(f".{self.host}") if self.below else host == self.host
        return named and (scheme, port) == (self.scheme, self.port)


@dataclass(frozen=True, slots=True)
class ImagesFrom:
    """What is allowed beside public https addresses.

    Attributes:
        networks: private ones that hosts may lie in, whatever their name.
    """

    hosts: tuple[ImageHost, ...] = ()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def of(cls, entries: Iterable[str]) -> ImagesFrom:
        """Read entries.

        Raises:
            ValueError: one is none, or allows nothing that may be allowed; the message is for people.
        """
        read = [read_entry(entry) for entry in entries]
        return cls(
            tuple(each for each in read if isinstance(each, ImageHost)),
            tuple(each for each in read if not isinstance(each, ImageHost)),
        )

    def __add__(self, other: ImagesFrom) -> ImagesFrom:
        return ImagesFrom((*self.hosts, *other.hosts), (*self.networks, *other.networks))

    def allows(self, scheme: str, host: str, port: int | None) -> bool:
        """Tell whether an address is of a host that is listed."""
        return any(each.matches(scheme, host, port) for each in self.hosts)

    def allows_network(self, address: str, port: int) -> bool:
        """Tell whether an IP address lies in a network that is listed, or is itself listed as a host."""
        found = _number(address)
        if found is None or not _own(ip_network(found)):
            return False
        listed = any((each.host, each.port) == (str(found), port) for each in self.hosts)
        return listed or any(found in network for network in self.networks)


NOTHING_MORE = ImagesFrom()


def read_entry(entry: str) -> ImageHost | IPv4Network | IPv6Network:
    """Read one entry of `images_from`: an origin, or the address of a private network or host.

    Raises:
        ValueError: it is neither, or allows nothing that may be allowed; the message is for people.
    """
    if "://" not in entry:
        return _network(entry)
    found = _ORIGIN.match(entry)
    if found is None:
        raise ValueError(f"must be an address without a path, in small ASCII letters, {_EXAMPLES}; not {entry}")
    scheme, below, host = found[1], bool(found[2]), found[3].strip("[]")
    port = int(found[4] or _PORTS[scheme])
    number = _number(host)
    if port > 65535 or (number is None and not _LABELS.match(host)) or (below and (number or "." not in host)):
        raise ValueError(f"is no host that images can come from: {entry}; write one {_EXAMPLES}")
    if number is None and scheme == "https" and port in USUAL_PORTS:
        raise ValueError(f"{entry} is allowed anyway, as every public https address is; remove it")
    if number is not None and not (number.is_global or _own(ip_network(number))):
        raise ValueError(f"{host} is never gone to; only public and private addresses can be allowed")
    return ImageHost(scheme, str(number or host), port, below)


def entry_for(scheme: str, host: str, port: int | None) -> str:
    """Return the entry that would allow an address; "" where none does."""
    usual = port in (None, _PORTS.get(scheme))
    entry = f"{scheme}://{f'[{host}]' if ':' in host else host}{'' if usual else f':{port}'}"
    return entry if _is_entry(entry) else ""


def entry_for_network(address: str) -> str:
    """Return the entry that would allow hosts at an IP address; "" where none does."""
    number = _number(address)
    entry = str(_INVENTED) if number is not None and number in _INVENTED else address
    return entry if _is_entry(entry) else ""


def _is_entry(entry: str) -> bool:
    try:
        read_entry(entry)
    except ValueError:
        return False
    return True


def _network(entry: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(entry)
    except ValueError:
        raise ValueError(
            f"must be an address with http:// or https://, or a network, {_EXAMPLES}; not {entry}"
        ) from None
    if not _own(network):
        raise ValueError(f"{entry} is not a private network; public hosts are allowed by name, and others never")
    return network


def _own(network: IPv4Network | IPv6Network) -> bool:
    return any(network.version == own.version and network.subnet_of(own) for own in _OWN)  # type: ignore[arg-type]


def _number(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
