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
from batchgen.simulator.file_store import FileStore
from batchgen.simulator.gateway_replies import GatewayReplies
from batchgen.simulator.image_request import ImageRequest
from batchgen.simulator.limits import CreditBalance, RouteLimits

_REMEMBERED = 300_000  # requests; the oldest are forgotten first


@dataclass(slots=True)
class ServedRoute:
    """One route that is served, and its limits: of each key, or of the account."""

    contract: Contract
    prefix: str
    _limits: dict[str, RouteLimits] = field(default_factory=dict)

    def limits(self, key: str) -> RouteLimits:
        """Return the limits that hold for a key, by its fingerprint."""
        return self._limits.setdefault(key if self.contract.limits_per == "key" else "", RouteLimits())


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """One request as it came, and the options that hold for it.

    Attributes:
        endpoint: as the bill names it.
        key: fingerprint of the bearer key, "" when there was none.
        request: SHA-256 of path and content, hexadecimal.
        fault: the faults the request's header names.
        host: where the client found the simulator, for addresses of pictures.
        batch: the batch it is a line of, "" for none.
    """

    route: ServedRoute
    endpoint: str
    replies: GatewayReplies
    options: Options
    key: str
    request: str
    fault: str
    host: str
    batch: str = ""
    image_request: ImageRequest = field(default_factory=ImageRequest)

    @property
    def limits(self) -> RouteLimits:
        """The limits that it comes under."""
        return self.route.limits(self.key)


class SimulatorState:
    """The state behind all routes."""

    def __init__(
        self, options: Options, bill: Bill, files: FileStore, clock: Clock, executor: Executor, routes: tuple[str, ...]
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
        self._balances: dict[str, CreditBalance] = {}
        self._bearers: dict[str, str] = {}
        spent: Counter[str] = Counter()
        for route, charged in bill.totals.routes.items():
            spent[route.partition("/")[0]] += charged
        for provider, charged in spent.items():
            self.balance(provider).spent = charged

    def new_call(self, route: ServedRoute, endpoint: str, request: str, headers: Mapping[str, str]) -> IncomingCall:
        """Take a request in. `headers` are authorization, x-simulate and host, "" where absent."""
        return IncomingCall(
            route=route,
            endpoint=endpoint,
            replies=self.replies(route),
            options=self.options.of(route.contract.route, self.bearer(headers["authorization"])),
            key=fingerprint(headers["authorization"]),
            request=request,
            fault=headers["x-simulate"],
            host=headers["host"],
        )

    def replies(self, route: ServedRoute) -> GatewayReplies:
        """Give the words for one answer of a route, with a request id of its own."""
        return GatewayReplies(route.contract, _new_id(route.contract, self.clock.now()))

    def bearer(self, authorization: str) -> str:
        """Return the bearer key itself, "" when there is none; it is remembered by its fingerprint."""
        key = bearer_key(authorization)
        self._bearers[fingerprint(authorization)] = key
        return key

    def options_of(self, route: str, key: str) -> Options:
        """Return the options that hold for calls over a route with the key of a fingerprint."""
        return self.options.of(route, self._bearers.get(key, ""))

    def balance(self, provider: str, key: str = "") -> CreditBalance:
        """Return the account at a provider, or what the key of a fingerprint has of it."""
        return self._balances.setdefault(f"{provider} {key}" if key else provider, CreditBalance())

    def balances(self, call: IncomingCall) -> tuple[CreditBalance, CreditBalance]:
        """Return what a call is paid from: the account, and what its key has of it."""
        provider = call.route.contract.provider
        return self.balance(provider), self.balance(provider, call.key)

    def chance(self, call: IncomingCall) -> Chance:
        """Make the dice for the next call with a request."""
        return Chance(call.options.seed, call.request, _count(self._seen, call.request))

    def take(self, request: str) -> int:
        """Count the picture that is about to be delivered for a request, and return its number, from 1."""
        return _count(self._delivered, request)

    async def wait(self, seconds: float) -> None:
        """Let time pass; a wait too short to matter costs nothing."""
        if seconds > 0.0005:
            await self.clock.sleep(seconds)


def fingerprint(authorization: str) -> str:
    """Return the start of the SHA-256 of a bearer key, "" when there is none."""
    key = bearer_key(authorization)
    return sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:8] if key else ""


def bearer_key(authorization: str) -> str:
    """Return the bearer key of a header, "" when there is none."""
    scheme, _, key = authorization.partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def _new_id(contract: Contract, now: float) -> str:
    """Make a request id in the vendor's style; never the same twice."""
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
