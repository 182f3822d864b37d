"""Which proxy a request goes through: its route's own, or the one that the environment names for its address.

A password of a proxy is told to that proxy and to nobody else. In errors stands where it was read from, never what.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

import aiohttp
from yarl import URL

from batchgen.gateway.address import is_loopback

_SCHEMES = ("http", "https")


class ProxyUnusable(OSError):
    """What should be a proxy is none that can be spoken to. Its sentence holds nothing of the address."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy. Its repr shows no user and no password.

    Attributes:
        url: without user and password.
        source: where it was read: `HTTPS_PROXY`, or the manifest's key.
    """

    url: URL
    source: str
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @classmethod
    def read(cls, text: str, source: str) -> Proxy:
        """Read `http://user:password@host:port`; scheme, user and port may be left out.

        Raises:
            ProxyUnusable: it is no address of an http or https proxy.
        """
        try:
            url = URL(text.strip() if "://" in text else f"http://{text.strip()}")
            user, password, host = url.user or "", url.password or "", url.host
        except ValueError:
            raise ProxyUnusable(f"{source} is no address of a proxy; {_EXAMPLE}") from None
        if url.scheme.startswith("socks"):
            raise ProxyUnusable(f"{source} is a SOCKS proxy, which is not spoken here; {_EXAMPLE}, or `proxy: none`")
        if url.scheme not in _SCHEMES or not host or ":" in user:
            raise ProxyUnusable(f"{source} is no address of an http or https proxy; {_EXAMPLE}")
        return cls(url.origin(), source, user, password)

    def __str__(self) -> str:
        return f"{self.url} ({self.source})"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What is to be looked for in whatever comes back: the password, and user and password as they are sent."""
        return (f"{self.user}:{self.password}", self.password) if self.password else ()

    def options(self, target: URL, headers: Mapping[str, str]) -> dict[str, Any]:
        """Return what aiohttp needs to ask a target through it, with these headers for the target itself."""
        login = aiohttp.encode_basic_auth(self.user, self.password) if self.user or self.password else ""
        own = {"Proxy-Authorization": login} if login else {}
        if target.scheme == "http":  # there the proxy reads the request itself
            return {"proxy": self.url, "headers": {**headers, **own}}
        return {"proxy": self.url, "proxy_headers": {"User-Agent": "batchgen", **own}, "headers": headers}


_EXAMPLE = "write one such as http://proxy.example:3128"


@dataclass(frozen=True, slots=True)
class Proxies:
    """The ways out of one route: without arguments there are none but the direct one.

    Attributes:
        own: the proxy of the route itself, for whatever it asks, this machine too.
        environment: proxies by scheme, `all` for every scheme, and hosts without one under `no`, as the standard
            library reads them from `HTTPS_PROXY` and the like. No request to this machine goes through any of these.
    """

    own: Proxy | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of_environment(cls) -> Proxies:
        """Read `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, in capitals or not."""
        return cls(environment=getproxies_environment())

    def to(self, target: URL) -> Proxy | None:
        """Return the proxy for an address; None where it is asked directly.

        Raises:
            ProxyUnusable: the environment names one that cannot be spoken to.
        """
        if self.own is not None or not self.environment:
            return self.own
        host = target.raw_host or ""
        if is_loopback(host) or _bypassed(host, target.port, self.environment):
            return None
        scheme = target.scheme if self.environment.get(target.scheme) else "all"
        return self.named(self.environment, scheme)

    @staticmethod
    def named(environment: Mapping[str, str], scheme: str) -> Proxy | None:
        """Read the proxy that an environment names for a scheme, or for `all`; None where it names none.

        Raises:
            ProxyUnusable: it is no proxy that can be spoken to.
        """
        text = environment.get(scheme, "")
        return Proxy.read(text, f"{scheme.upper()}_PROXY") if text else None

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets of every proxy that may be used."""
        if self.own is not None:
            return self.own.secrets
        found: list[str] = []
        for name in (*_SCHEMES, "all"):
            try:
                proxy = self.named(self.environment, name)
            except ProxyUnusable:
                continue
            found += proxy.secrets if proxy is not None else ()
        return tuple(dict.fromkeys(found))


DIRECT = Proxies()


def _bypassed(host: str, port: int | None, environment: Mapping[str, str]) -> bool:
    return bool(proxy_bypass_environment(f"{host}:{port}", dict(environment)))
