"""The way to the gateways of a manifest: their routes and keys, or the simulated ones that stand in for them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from batchgen.app.keyring import KeyRing
from batchgen.app.rehearsal import KEY_ENV, rehearsal_key, simulated
from batchgen.app.run_options import RunOptions
from batchgen.app.way_out import check_way_out, proxies_of
from batchgen.contracts.written_proxy import DIRECTLY
from batchgen.engine.assembly import RouteSpec
from batchgen.gateway.proxy import Proxies
from batchgen.manifest.manifest import Manifest
from batchgen.simulator.faults import Options


class GatewayAccess:
    """Reached once, when it is needed; what must be closed goes onto a stack."""

    def __init__(self, manifest: Manifest, options: RunOptions, stack: AsyncExitStack, *, rehearse: bool) -> None:
        self._manifest = manifest
        self._options = options
        self._stack = stack
        self._rehearse = rehearse
        self._reached: tuple[list[RouteSpec], KeyRing] | None = None

    async def reach(self) -> tuple[list[RouteSpec], KeyRing]:
        """Give the routes to call over, and the keys."""
        if self._reached is None:
            self._reached = await self._rehearsed() if self._rehearse else (self._routes(), self._keys())
        return self._reached

    def proxies(self) -> Proxies:
        """Give the ways out of the manifest's own route.

        Raises:
            UsageError: what its proxy needs is not set.
        """
        return proxies_of(self._manifest.contract, self._keys())

    def check_keys(self) -> None:
        """Make sure that every key and proxy is there, those of fallback routes too, before anything is recorded.

        Raises:
            UsageError: one is missing, or two keys of a route are the same.
        """
        if not self._rehearse:
            keys = self._keys()
            keys.check(name for route in self._routes() for name in route.contract.keys)
            for route in self._routes():
                keys.fingerprints(route.contract.keys)
                check_way_out(route.contract, keys)

    def _routes(self) -> list[RouteSpec]:
        others = [RouteSpec(other.contract, other.rescue) for other in self._manifest.fallbacks]
        return [RouteSpec(self._manifest.contract), *others]

    def _keys(self) -> KeyRing:
        return KeyRing.of(self._manifest.job.manifest.parent, Path.cwd())

    async def _rehearsed(self) -> tuple[list[RouteSpec], KeyRing]:
        Options.parse(self._options.faults).check_keys({name for each in self._routes() for name in each.contract.keys})
        written = [self._manifest.route, *(other.written for other in self._manifest.fallbacks)]
        simulation = simulated(written, self._options.speed, self._options.faults)
        return played(self._routes(), await self._stack.enter_async_context(simulation))


def played(routes: Sequence[RouteSpec], addresses: Sequence[str]) -> tuple[list[RouteSpec], KeyRing]:
    """Give routes as they are at the simulated gateway, each at its address, and keys that are none."""
    contracts = [
        replace(route.contract, base_url=address, proxy=DIRECTLY, keys=route.contract.keys or (KEY_ENV,))
        for route, address in zip(routes, addresses, strict=True)
    ]
    keys = KeyRing({name: rehearsal_key(name) for contract in contracts for name in contract.keys})
    return [replace(route, contract=contract) for route, contract in zip(routes, contracts, strict=True)], keys
