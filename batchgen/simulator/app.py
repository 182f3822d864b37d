"""The web application: what every route serves, the pictures behind addresses, and a look inside."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, fields
from typing import Any

from aiohttp import web

from batchgen.domain.errors import UsageError
from batchgen.simulator import gateway_replies
from batchgen.simulator.account_log import ChargedLines, log_handler
from batchgen.simulator.answer_transport import whole
from batchgen.simulator.batch.api import BatchHandlers, guarded
from batchgen.simulator.batch.files_api import FileHandlers
from batchgen.simulator.batch.worker import BatchWorker
from batchgen.simulator.bill import Bill, BillTotals
from batchgen.simulator.calls import handler_of
from batchgen.simulator.endpoints import served_by, takes_batches
from batchgen.simulator.faults import Options
from batchgen.simulator.followed_calls import follow_handler
from batchgen.simulator.pictures import links
from batchgen.simulator.pictures.drawing import draw
from batchgen.simulator.state import ServedRoute, SimulatorState

_LARGEST = 64 * 1024 * 1024  # bytes of a request that is no form


def build(state: SimulatorState, routes: list[ServedRoute], worker: BatchWorker) -> web.Application:
    """Build the application that serves these routes, each exactly the endpoints its contract names."""
    app = web.Application(client_max_size=_LARGEST)
    _add_logs(app, state, routes)
    for route in routes:
        for endpoint in served_by(route.contract):
            app.router.add_post(route.prefix + endpoint.path, handler_of(state, route, endpoint))
        if (rule := route.contract.task) is not None:
            app.router.add_get(route.prefix + rule.poll.partition("?")[0], follow_handler(state, route, rule))
        if takes_batches(route.contract):
            _add_batches(app, state, route, worker)
        app.router.add_route("*", f"{route.prefix}/{{rest:.*}}", _no_such_endpoint(state, route))
    inside = _Inspection(state, worker)
    app.router.add_get("/img/{name}", inside.image)
    app.router.add_get("/_sim/stats", inside.stats)
    app.router.add_get("/_sim/bill", inside.bill)
    app.router.add_post("/_sim/options", inside.options)
    return app


def _add_batches(app: web.Application, state: SimulatorState, route: ServedRoute, worker: BatchWorker) -> None:
    files, batches = FileHandlers(state), BatchHandlers(state, route, worker)
    for method, path, handle in (
        ("POST", "/files", files.create),
        ("GET", "/files/{id}", files.retrieve),
        ("GET", "/files/{id}/content", files.content),
        ("DELETE", "/files/{id}", files.delete),
        ("POST", "/batches", batches.create),
        ("GET", "/batches", batches.listing),
        ("GET", "/batches/{id}", batches.retrieve),
        ("POST", "/batches/{id}/cancel", batches.cancel),
    ):
        app.router.add_route(method, route.prefix + path, guarded(state, route, handle))


def _add_logs(app: web.Application, state: SimulatorState, routes: list[ServedRoute]) -> None:
    """Add the log API: at the server's root for every account, below each provider and each route for that account."""
    charged_lines = ChargedLines(state.bill.path)
    mounted: dict[str, str] = {}
    for route in routes:
        path, provider = route.contract.log.path, route.contract.provider
        if path:
            root = "" if len(routes) > 1 else provider
            mounted |= {path: root, f"/{provider}{path}": provider, route.prefix.removesuffix("/v1") + path: provider}
            mounted[path] = root
    for path, provider in mounted.items():
        app.router.add_get(path, log_handler(charged_lines, provider))


def _no_such_endpoint(state: SimulatorState, route: ServedRoute) -> Any:
    async def handle(request: web.Request) -> web.Response:
        replies = state.replies(route)
        return whole(replies.no_such_path(request.path, request.method), replies.headers())

    return handle


class _Inspection:
    """What the simulator tells and takes beside the gateways' own endpoints."""

    def __init__(self, state: SimulatorState, worker: BatchWorker) -> None:
        self._state = state
        self._worker = worker

    async def image(self, request: web.Request) -> web.Response:
        """Answer with a picture, as long as its address lives."""
        link = links.from_name(request.match_info["name"])
        if link is None or link.expires <= self._state.clock.now():
            return whole(gateway_replies.GONE_PAGE)
        loop = asyncio.get_running_loop()
        file = await loop.run_in_executor(self._state.executor, draw, link.drawing)
        if link.cut:
            file = file[: len(file) * 6 // 10]
        return web.Response(body=file, content_type=f"image/{link.drawing.format}")

    async def stats(self, _request: web.Request) -> web.Response:
        """Answer with counters since the bill began, and with what is going on now."""
        state = self._state
        counters = {
            "in_flight": state.in_flight,
            "in_flight_most": state.in_flight_most,
            "stored": state.stored,
            "batches": len(self._worker.store),
        }
        return web.json_response({**as_json(state.bill.totals), **counters})

    async def bill(self, _request: web.Request) -> web.Response:
        """Answer with the sums of the bill's file, read anew, and its lines."""
        path = self._state.bill.path
        lines = [asdict(line) for line in Bill.lines(path)]
        return web.json_response({"totals": as_json(Bill.read(path)), "lines": lines})

    async def options(self, request: web.Request) -> web.Response:
        """Change options: a JSON object of names and values, as on the command line."""
        try:
            wanted = json.loads(await request.read())
            if not isinstance(wanted, dict):
                raise UsageError("the body must be a JSON object of option names and values")
            items = [f"{name}={_text(value)}" for name, value in wanted.items()]
            options = Options.parse(items, self._state.options)
            options.check_routes(self._state.routes)
            self._state.options = options
        except ValueError as error:
            return whole(gateway_replies.error(400, f"the body is not JSON: {error}", "simulator_error"))
        except UsageError as error:
            return whole(gateway_replies.error(400, str(error), "simulator_error"))
        return web.json_response({"changed": list(wanted)})


def _text(value: object) -> str:
    """Write a JSON value as a command line would."""
    return "none" if value is None else str(value)


def as_json(totals: BillTotals) -> dict[str, Any]:
    """Turn sums into a JSON object."""
    plain = {each.name: getattr(totals, each.name) for each in fields(totals)}
    return {name: dict(value) if isinstance(value, dict) else value for name, value in plain.items()}
