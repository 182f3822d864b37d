"""The web application: the paid endpoints of every route, the pictures behind addresses, and a look inside."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, fields
from typing import Any

from aiohttp import web

from batchgen.domain.errors import UsageError
from batchgen.simulator import bodies, links
from batchgen.simulator.bill import Bill, Totals
from batchgen.simulator.bodies import Voice
from batchgen.simulator.desk import Desk, Route
from batchgen.simulator.faults import Options
from batchgen.simulator.images import generations
from batchgen.simulator.manners import whole
from batchgen.simulator.picture import draw

_LARGEST = 64 * 1024 * 1024  # bytes of a request


def build(desk: Desk, routes: list[Route]) -> web.Application:
    """The application that serves these routes."""
    app = web.Application(client_max_size=_LARGEST)
    for route in routes:
        app.router.add_post(f"{route.prefix}/images/generations", generations(desk, route))
        app.router.add_route("*", f"{route.prefix}/{{rest:.*}}", _no_such_endpoint(route))
    inside = _Inside(desk)
    app.router.add_get("/img/{name}", inside.image)
    app.router.add_get("/_sim/stats", inside.stats)
    app.router.add_get("/_sim/bill", inside.bill)
    app.router.add_post("/_sim/options", inside.options)
    return app


def _no_such_endpoint(route: Route) -> Any:
    async def handle(request: web.Request) -> web.Response:
        return whole(Voice(route.contract, "").no_such_path(request.path))

    return handle


class _Inside:
    """What the simulator tells and takes beside the gateways' own endpoints."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def image(self, request: web.Request) -> web.Response:
        """A picture, as long as its address lives."""
        link = links.from_name(request.match_info["name"])
        if link is None or link.expires <= self._desk.clock.now():
            return whole(bodies.GONE_PAGE)
        loop = asyncio.get_running_loop()
        file = await loop.run_in_executor(self._desk.executor, draw, link.drawing)
        if link.cut:
            file = file[: len(file) * 6 // 10]
        return web.Response(body=file, content_type=f"image/{link.drawing.format}")

    async def stats(self, _request: web.Request) -> web.Response:
        """Counters since the bill began, and what is going on now."""
        desk = self._desk
        counters = {"in_flight": desk.in_flight, "in_flight_most": desk.in_flight_most}
        return web.json_response({**as_json(desk.bill.totals), **counters})

    async def bill(self, _request: web.Request) -> web.Response:
        """The sums of the bill's file, read anew, and its lines."""
        path = self._desk.bill.path
        lines = [asdict(line) for line in Bill.lines(path)]
        return web.json_response({"totals": as_json(Bill.read(path)), "lines": lines})

    async def options(self, request: web.Request) -> web.Response:
        """Change options: a JSON object of names and values, as on the command line."""
        try:
            wanted = json.loads(await request.read())
            if not isinstance(wanted, dict):
                raise UsageError("the body must be a JSON object of option names and values")
            items = [f"{name}={_text(value)}" for name, value in wanted.items()]
            self._desk.options = Options.parse(items, self._desk.options)
        except ValueError as error:
            return whole(bodies.error(400, f"the body is not JSON: {error}", "simulator_error"))
        except UsageError as error:
            return whole(bodies.error(400, str(error), "simulator_error"))
        return web.json_response({"changed": list(wanted)})


def _text(value: object) -> str:
    """A JSON value as a command line would write it."""
    return "none" if value is None else str(value)


def as_json(totals: Totals) -> dict[str, Any]:
    """Sums with plain keys."""
    plain = {each.name: getattr(totals, each.name) for each in fields(totals)}
    return {name: dict(value) if isinstance(value, dict) else value for name, value in plain.items()}
