"""What `doctor` says of the way out: proxies, certificates that are trusted, and names of gateways."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterable
from pathlib import Path

from yarl import URL

from batchgen.app.finding import MachineFinding, safely
from batchgen.app.keyring import KeyRing
from batchgen.app.way_out import check_way_out
from batchgen.contracts.contract import Contract
from batchgen.domain.errors import UsageError
from batchgen.domain.wire import Obstacle
from batchgen.gateway.proxy import Proxies, ProxyUnusable

_ITS_NAMES = (
    "the proxy looks names up, so that it alone can keep image addresses out of its own network; numbers, ports and "
    "https are checked here"
)


def examine_network(contracts: Iterable[Contract], keys: KeyRing) -> list[MachineFinding]:
    """Look at the proxies of the environment and the trusted certificates, and at the way to each of these gateways.

    The way is looked at by its name alone; nothing is sent.
    """
    ways = dict.fromkeys((contract.base_url, contract.proxy) for contract in contracts)
    of = {(contract.base_url, contract.proxy): contract for contract in contracts}
    return [safely(_proxy), safely(_certificates), *(_way(of[way], keys) for way in ways)]


def _proxy() -> MachineFinding:
    """The proxies that the environment names, without their passwords."""
    environment, trouble, named = Proxies.of_environment().environment, "", []
    for scheme in ("https", "http", "all"):
        try:
            found = Proxies.named(environment, scheme)
        except ProxyUnusable as wrong:
            trouble = trouble or str(wrong)
            continue
        if found is not None:
            named.append(str(found))
    value = ", ".join(named) or "none that the environment names"
    if named and (without := environment.get("no", "")):
        value += f"; none for {without}"
    return MachineFinding("proxy", value, not trouble, trouble or (_ITS_NAMES if named else ""))


def _certificates() -> MachineFinding:
    """The certificates that gateways are held against, and where they come from."""
    file, folder = os.environ.get("SSL_CERT_FILE", ""), os.environ.get("SSL_CERT_DIR", "")
    usual = ssl.get_default_verify_paths()
    places = [f"{path} ({name})" for name, path in (("SSL_CERT_FILE", file), ("SSL_CERT_DIR", folder)) if path]
    count = ssl.create_default_context().cert_store_stats()["x509"]
    where = ", ".join(places) or usual.cafile or usual.capath or "the system"
    missing = [path for path in (file, folder) if path and not Path(path).exists()]
    if missing:
        return MachineFinding("certificates", f"{missing[0]} is not there", ok=False, advice=_NO_CERTIFICATES)
    several = folder or (not file and usual.capath and any(Path(usual.capath).iterdir()))
    value = f"{count} trusted, of {where}"
    return MachineFinding("certificates", value, bool(count or several), "" if count or several else _NO_CERTIFICATES)


_NO_CERTIFICATES = "no gateway can prove who it is: let SSL_CERT_FILE name a file of trusted certificates, or unset it"


def _way(contract: Contract, keys: KeyRing) -> MachineFinding:
    """How one gateway is reached, and whether the name to begin with is known."""
    host = URL(contract.base_url).host or ""
    what = f"way to {host}"
    try:
        proxy = check_way_out(contract, keys)
    except UsageError as wrong:
        return MachineFinding(what, "no way", ok=False, advice=str(wrong))
    first = host if proxy is None else proxy.url.host or ""
    way = "directly" if proxy is None else f"through {proxy}"
    try:
        socket.getaddrinfo(first, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        advice = Obstacle.NAME.advice if proxy is None else Obstacle.PROXY.advice
        return MachineFinding(what, f"{way}; the name {first} is not found", ok=False, advice=advice)
    return MachineFinding(what, way, ok=True, advice="" if proxy is None else _ITS_NAMES)
