"""What one simulator knows while it runs: options, limits, money, the bill, and which requests came before."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from hashlib import sha256

from batchgen.contracts.contract import Contract
from batchgen.domain.clock import Clock
from batchgen.simulator.bill import Bill
from batchgen.simulator.chance import Chance
from batchgen.simulator.faults import Options
from batchgen.simulator.file_store import Files
from batchgen.simulator.gateway_replies import Voice
from batchgen.simulator.image_request import Wish
from batchgen.simulator.limits import Gate, Purse

_REMEMBERED = 300_000  # requests; the oldest are forgotten first


@dataclass(slots=True)
class Route:
    """One route that is served, and its limits."""

    contract: Contract
    prefix: str
    gate: Gate = field(default_factory=Gate)


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request as it came.

    Attributes:
        endpoint: as the bill names it.
        key: fingerprint of the bearer key, "" when there was none.
        request: SHA-256 of path and content, hexadecimal.
        fault: the faults the request's header names.
        host: where the client found the simulator, for addresses of pictures.
        batch: the batch it is a line of, "" for none.
    """

    route: Route
    endpoint: str
    voice: Voice
    options: Options
    key: str
    request: str
    fault: str
    host: str
    batch: str = ""
    wish: Wish = field(default_factory=Wish)


class Desk:
    """The state behind all routes."""

    def __init__(
        self, options: Options, bill: Bill, files: Files, clock: Clock, executor: Executor, routes: tuple[str, ...]
    ) -> None:
        self.options = options
        self.bill = bill
        self.files = files
        self.routes = routes
        self.clock = clock
        self.executor = executor
        self.closing = asyncio.Event()
        self.in_flight = 0
        self.in_flight_most = 0
        self.stored = 0  # calls whose conversation was to be kept
        self._seen: dict[int, int] = {}
        self._delivered: dict[int, int] = {}
        self._purses: dict[str, Purse] = {}
        spent: Counter[str] = Counter()
        for route, charged in bill.totals.routes.items():
            spent[route.partition("/")[0]] += charged
        for provider, charged in spent.items():
            self.purse(provider).spent = charged

    def arrive(self, route: Route, endpoint: str, request: str, headers: Mapping[str, str]) -> Arrival:
        """Take a request in. `headers` are authorization, x-simulate and host, "" where absent."""
        return Arrival(
            route=route,
            endpoint=endpoint,
            voice=self.voice(route),
            options=self.options.of(route.contract.route),
            key=fingerprint(headers["authorization"]),
            request=request,
            fault=headers["x-simulate"],
            host=headers["host"],
        )

    def voice(self, route: Route) -> Voice:
        """A voice for one answer of a route, with a request id of its own."""
        return Voice(route.contract, _new_id(route.contract, self.clock.now()))

    def purse(self, provider: str) -> Purse:
        """The account at a provider."""
        return self._purses.setdefault(provider, Purse())

    def chance(self, arrival: Arrival) -> Chance:
        """The dice for the next call with a request."""
        return Chance(arrival.options.seed, arrival.request, _count(self._seen, arrival.request))

    def take(self, request: str) -> int:
        """The number of the picture that is about to be delivered for a request, from 1."""
        return _count(self._delivered, request)

    async def wait(self, seconds: float) -> None:
        """Let time pass; a wait too short to matter costs nothing."""
        if seconds > 0.0005:
            await self.clock.sleep(seconds)


def fingerprint(authorization: str) -> str:
    """The start of the SHA-256 of a bearer key, "" when there is none."""
    scheme, _, key = authorization.partition(" ")
    key = key.strip() if scheme.lower() == "bearer" else ""
    return sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:8] if key else ""


def _new_id(contract: Contract, now: float) -> str:
    """A request id in the vendor's style; never the same twice."""
    if contract.channel == "official":
        return f"req_{secrets.token_hex(16)}"
    return time.strftime("%Y%m%d%H%M%S", time.gmtime(now)) + secrets.token_hex(8)


def _count(table: dict[int, int], request: str) -> int:
    key = int(request[:15], 16)
    count = table.get(key, 0) + 1
    table[key] = count
    if len(table) > _REMEMBERED:
        del table[next(iter(table))]
    return count
