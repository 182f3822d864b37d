"""Starting and stopping a simulator on a loopback port."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from aiohttp import web

from batchgen.contracts.contract import Contract
from batchgen.domain.clock import Clock, SystemClock
from batchgen.domain.errors import UsageError
from batchgen.simulator.app import build
from batchgen.simulator.batch.store import BatchStore
from batchgen.simulator.batch.worker import BatchWorker
from batchgen.simulator.bill import Bill
from batchgen.simulator.faults import Options
from batchgen.simulator.file_store import FileStore
from batchgen.simulator.state import ServedRoute, SimulatorState

_DRAWING_THREADS = 2
_BACKLOG = 1024
_LAST_CALLS = 0.5  # seconds for answers that are being written when the simulator closes


class RunningSimulator:
    """A simulator that is up."""

    def __init__(
        self,
        state: SimulatorState,
        routes: list[ServedRoute],
        worker: BatchWorker,
        runner: web.AppRunner,
        address: tuple[str, int],
    ) -> None:
        self.state = state
        self.host, self.port = address
        self._worker = worker
        self._routes = {route.contract.route: route for route in routes}
        self._runner = runner

    @property
    def root(self) -> str:
        """The server's address, without a slash at the end."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def urls(self) -> list[tuple[str, str]]:
        """Every route with its base URL, which ends in /v1."""
        return [(name, self.root + route.prefix) for name, route in self._routes.items()]

    def base_url(self, route: str) -> str:
        """Return the base URL of a route.

        Raises:
            UsageError: it is not served here.
        """
        if route not in self._routes:
            raise UsageError(f"the simulator does not serve {route}; it serves {', '.join(self._routes)}")
        return self.root + self._routes[route].prefix

    async def close(self) -> None:
        """Stop. Calls in work are dropped and not billed, as in a gateway that goes down; batches go on later."""
        self.state.closing.set()
        try:
            await self._worker.close()
        finally:
            await self._runner.cleanup()
            self.state.executor.shutdown(wait=True, cancel_futures=True)
            self.state.bill.close()
            self.state.files.close()


async def start(
    contracts: Sequence[Contract],
    options: Options,
    bill_path: Path,
    state_dir: Path | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    clock: Clock | None = None,
) -> RunningSimulator:
    """Serve routes: a single one at `/v1`, several at `/provider/model/v1` each.

    The bill at `bill_path` is continued when it is there. In `state_dir` the port is remembered: with `port` 0 a later
    simulator gets the same one while it is free, and so addresses of pictures stay good; without a folder, and else,
    it is any free one. Files and batches are kept there too, and what a batch had left to do is done; without a folder
    they end with the simulator.

    Raises:
        UsageError: no route, one twice, an option for one that is not served, or the port is taken.
    """
    names = [contract.route for contract in contracts]
    if not names or len(set(names)) != len(names):
        raise UsageError("a simulator serves one or more different routes; name each once")
    options.check_routes(names)
    prefixes = ["/v1"] if len(names) == 1 else [f"/{name}/v1" for name in names]
    # A contract says what its own endpoint costs; here each call is priced for the endpoint it comes to.
    plain = [replace(contract, endpoint_default="images") for contract in contracts]
    routes = [ServedRoute(contract, prefix) for contract, prefix in zip(plain, prefixes, strict=True)]
    state = _state(options, bill_path, state_dir, clock or SystemClock(), tuple(names))
    worker = BatchWorker(
        state, {route.contract.route: route for route in routes}, BatchStore(state.files.folder / "batches")
    )
    # A client that hangs up does not stop the work, nor its price: handlers are not cancelled.
    runner = web.AppRunner(
        build(state, routes, worker), access_log=None, handler_cancellation=False, shutdown_timeout=_LAST_CALLS
    )
    await runner.setup()
    try:
        bound = await _bind(runner, host, port, state_dir)
    except OSError as error:
        await RunningSimulator(state, routes, worker, runner, (host, port)).close()
        raise UsageError(f"cannot listen on {host}:{port}: {error.strerror}; choose another port") from None
    worker.resume()
    return RunningSimulator(state, routes, worker, runner, (host, bound))


def _state(
    options: Options, bill_path: Path, state_dir: Path | None, clock: Clock, routes: tuple[str, ...]
) -> SimulatorState:
    executor = ThreadPoolExecutor(_DRAWING_THREADS, thread_name_prefix="simulator")
    return SimulatorState(options, Bill(bill_path), FileStore(state_dir, clock), clock, executor, routes)


async def _bind(runner: web.AppRunner, host: str, port: int, state_dir: Path | None) -> int:
    """Listen, and say on which port."""
    memory = state_dir / "port" if state_dir is not None else None
    if port == 0 and memory is not None and (remembered := _remembered(memory)):
        with suppress(OSError):
            return await _listen(runner, host, remembered)
    bound = await _listen(runner, host, port)
    if memory is not None:
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_text(f"{bound}\n", encoding="ascii")
    return bound


async def _listen(runner: web.AppRunner, host: str, port: int) -> int:
    site = web.TCPSite(runner, host, port, backlog=_BACKLOG)
    await site.start()
    return int(runner.addresses[-1][1])


def _remembered(memory: Path) -> int:
    """Read the port of an earlier simulator; 0 when there was none."""
    try:
        port = int(memory.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0
    return port if 1024 <= port < 65536 else 0


async def serve_forever(
    contracts: Sequence[Contract],
    options: Options,
    bill_path: Path,
    on_ready: Callable[[list[tuple[str, str]]], None],
    until: Awaitable[object],
    *,
    state_dir: Path | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
) -> None:
    """Serve until something happens, then stop.

    `on_ready` is told every route and its base URL once calls are taken; `until` is what to wait for, such as an event
    that a signal sets.
    """
    running = await start(contracts, options, bill_path, state_dir, host=host, port=port)
    try:
        on_ready(running.urls)
        await until
    finally:
        await running.close()
