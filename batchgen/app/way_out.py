"""The way out of this machine to a gateway: through the proxy that its route names, or that the environment does."""

from __future__ import annotations

from yarl import URL

from batchgen.app.keyring import KeyRing
from batchgen.contracts.contract import Contract
from batchgen.contracts.written_proxy import DIRECTLY, filled, proxy_variables
from batchgen.domain.errors import UsageError
from batchgen.gateway.proxy import DIRECT, Proxies, Proxy, ProxyUnusable


def proxies_of(contract: Contract, keys: KeyRing) -> Proxies:
    """Find the proxies of a route.

    Raises:
        UsageError: a variable is not set that its proxy needs, or what is there is no proxy.
    """
    written = contract.proxy
    if written == DIRECTLY:
        return DIRECT
    if not written:
        return Proxies.of_environment()
    names = proxy_variables(written)
    if missing := [name for name in names if not keys.has(name)]:
        wanted = " and ".join(missing)
        raise UsageError(
            f"{wanted}, which `proxy:` of {contract.route} names, is not set: put it into the environment or into a "
            "file .env beside the manifest"
        )
    try:
        return Proxies(Proxy.read(filled(written, {name: keys.text(name) for name in names}), "`proxy:`"))
    except ProxyUnusable as wrong:
        raise UsageError(f"{contract.route}: {wrong}") from None


def check_way_out(contract: Contract, keys: KeyRing) -> Proxy | None:
    """Make sure that a route's gateway can be asked as its proxy is written; return that proxy, if any.

    Raises:
        UsageError: it cannot.
    """
    try:
        return proxies_of(contract, keys).to(URL(contract.base_url))
    except ProxyUnusable as wrong:
        raise UsageError(f"{contract.route}: {wrong}") from None
