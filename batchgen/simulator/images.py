"""POST /v1/images/generations: the whole life of one call, from its arrival to its line on the bill and its answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from hashlib import sha256

from aiohttp import web

from batchgen.domain.errors import UsageError
from batchgen.domain.model import Kind
from batchgen.simulator import answers, bodies
from batchgen.simulator.behaviour import decline_delay, judge
from batchgen.simulator.bill import Line
from batchgen.simulator.bodies import Declined, Reply
from batchgen.simulator.desk import Arrival, Desk, Route
from batchgen.simulator.faults import Fault
from batchgen.simulator.manners import send, whole
from batchgen.simulator.work import Work

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_UNANSWERED = frozenset({Fault.HANG, Fault.DROP, Fault.NOT_HTTP})


def generations(desk: Desk, route: Route) -> Handler:
    """The handler of one route."""

    async def handle(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        names = ("authorization", "x-simulate", "host")
        headers = {name: request.headers.get(name, "") for name in names}
        arrival = desk.arrive(route, request.path, body, headers)
        desk.in_flight += 1
        desk.in_flight_most = max(desk.in_flight_most, desk.in_flight)
        try:
            return await _answer(desk, request, arrival)
        finally:
            desk.in_flight -= 1

    return handle


async def _answer(desk: Desk, request: web.Request, arrival: Arrival) -> web.StreamResponse:
    try:
        work = judge(desk, arrival)
    except Declined as declined:
        await desk.wait(decline_delay(arrival))
        desk.bill.append(_free_line(desk, arrival, declined))
        return whole(declined.reply, arrival.voice.headers())
    except UsageError as error:
        refused = Declined(Kind.REJECTED, bodies.error(400, str(error), "simulator_error"))
        desk.bill.append(_free_line(desk, arrival, refused))
        return whole(refused.reply)
    charged = 0
    try:
        await desk.wait(work.delay)
        reply = await _make(desk, arrival, work)
        charged = work.charged
        desk.bill.append(_line(desk, arrival, work, reply))
    finally:
        desk.purse(arrival.route.contract.provider).settle(work.price, charged)
        arrival.route.gate.leave()
    return await send(desk, request, reply, arrival.voice.headers(), work.fault, work.delay)


async def _make(desk: Desk, arrival: Arrival, work: Work) -> Reply:
    """The answer, drawn where it needs drawing."""
    now = desk.clock.now()
    ready = answers.without_picture(arrival, work, int(now))
    if ready is not None:
        return ready
    if work.fault in _UNANSWERED:
        return Reply(0, b"")
    pictures = answers.drawings(arrival, work, desk.take(arrival.request))
    if answers.by_address(work):
        return answers.with_addresses(arrival, work, pictures, now)
    if arrival.options.pictures == "plain" and not arrival.options.bytes:
        return answers.inline(arrival, work, pictures, now)  # cheaper than the way to another thread
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(desk.executor, answers.inline, arrival, work, pictures, now)


def _line(desk: Desk, arrival: Arrival, work: Work, reply: Reply) -> Line:
    return Line(
        time=round(desk.clock.now(), 3),
        route=arrival.route.contract.route,
        model=arrival.route.contract.model,
        key=arrival.key,
        request=arrival.request,
        prompt=sha256(work.asked.prompt.encode("utf-8", "surrogatepass")).hexdigest(),
        occurrence=work.chance.occurrence,
        size=str(work.size),
        quality=work.quality,
        n=work.asked.n,
        status=reply.status,
        kind=work.kind,
        fault="" if work.fault is Fault.NONE else work.fault,
        charged=work.charged,
        request_id=arrival.voice.request_id,
        usage=work.usage,
    )


def _free_line(desk: Desk, arrival: Arrival, declined: Declined) -> Line:
    """The line of a call that was turned away. What it asked for is not always understood."""
    try:
        fields = json.loads(arrival.body)
    except (ValueError, RecursionError):
        fields = {}
    asked = fields if isinstance(fields, dict) else {}
    prompt = asked.get("prompt")
    return Line(
        time=round(desk.clock.now(), 3),
        route=arrival.route.contract.route,
        model=str(asked.get("model", ""))[:100],
        key=arrival.key,
        request=arrival.request,
        prompt=sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest() if isinstance(prompt, str) else "",
        occurrence=declined.occurrence,
        size=str(asked.get("size", ""))[:100],
        quality=str(asked.get("quality", ""))[:100],
        n=1,
        status=declined.reply.status,
        kind=declined.kind,
        fault=declined.fault,
        charged=0,
        request_id=arrival.voice.request_id,
    )
