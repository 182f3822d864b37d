"""The whole life of one call, from its arrival to its line on the bill and its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from hashlib import sha256

from aiohttp import web

from batchgen.domain.errors import UsageError
from batchgen.domain.model import OutcomeKind
from batchgen.simulator import gateway_replies
from batchgen.simulator.admission import decline_delay, judge
from batchgen.simulator.bill import Line
from batchgen.simulator.call_plan import Work
from batchgen.simulator.endpoints import answers
from batchgen.simulator.endpoints.endpoint import Door, Made
from batchgen.simulator.faults import Fault
from batchgen.simulator.gateway_replies import Declined, Reply
from batchgen.simulator.image_request import Wish
from batchgen.simulator.payload import Packet, receive
from batchgen.simulator.state import Arrival, Desk, Route
from batchgen.simulator.transport import send, whole

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Keep = Callable[[Work | None, Reply], Awaitable[None]]
_UNANSWERED = frozenset({Fault.HANG, Fault.DROP, Fault.NOT_HTTP})
_QUICKLY_READ = 1 << 16  # bytes of JSON that are not worth another thread


def calls(desk: Desk, route: Route, door: Door) -> Handler:
    """The handler of one endpoint of one route."""

    async def handle(request: web.Request) -> web.StreamResponse:
        packet = await receive(request)
        names = ("authorization", "x-simulate", "host")
        headers = {name: request.headers.get(name, "") for name in names}
        arrival = desk.arrive(route, door.name, packet.digest, headers)
        desk.in_flight += 1
        desk.in_flight_most = max(desk.in_flight_most, desk.in_flight)
        try:
            return await _answer(desk, request, await understood(desk, arrival, door, packet), door)
        finally:
            desk.in_flight -= 1

    return handle


async def understood(desk: Desk, arrival: Arrival, door: Door, packet: Packet) -> Arrival:
    """The request with its wish. The packet is done with."""

    def read() -> Wish:
        try:
            return door.read(arrival, packet, desk.files.open)
        except Declined as declined:
            return Wish(objection=declined)
        finally:
            packet.close()

    if not packet.is_form and len(packet.body) < _QUICKLY_READ:
        return replace(arrival, wish=read())
    return replace(arrival, wish=await asyncio.get_running_loop().run_in_executor(desk.executor, read))


async def _answer(desk: Desk, request: web.Request, arrival: Arrival, door: Door) -> web.StreamResponse:
    work, reply = await fulfil(desk, arrival, door)
    if work is None:
        return whole(reply, arrival.voice.headers())
    return await send(desk, request, reply, arrival.voice.headers(), work.fault, work.delay)


async def fulfil(desk: Desk, arrival: Arrival, door: Door, keep: Keep | None = None) -> tuple[Work | None, Reply]:
    """Judge a request, do the work, write the line of the bill; no work where it was turned away.

    `keep` is given work and answer before the line is written.
    """
    try:
        work = judge(desk, arrival)
    except Declined as declined:
        return None, await _declined(desk, arrival, declined, keep)
    except UsageError as error:
        refused = Declined(OutcomeKind.REJECTED, gateway_replies.error(400, str(error), "simulator_error"))
        return None, await _declined(desk, arrival, refused, keep)
    desk.stored += arrival.wish.stored
    charged = 0
    try:
        await desk.wait(work.delay)
        reply = await _make(desk, arrival, work, door)
        if keep is not None:
            await keep(work, reply)
        charged = work.charged
        desk.bill.append(_line(desk, arrival, work, reply))
    finally:
        desk.purse(arrival.route.contract.provider).settle(work.price, charged)
        arrival.route.gate.leave()
    return work, reply


async def _declined(desk: Desk, arrival: Arrival, declined: Declined, keep: Keep | None) -> Reply:
    await desk.wait(decline_delay(arrival))
    if keep is not None:
        await keep(None, declined.reply)
    desk.bill.append(_free_line(desk, arrival, declined))
    return declined.reply


async def _make(desk: Desk, arrival: Arrival, work: Work, door: Door) -> Reply:
    """The answer, drawn where it needs drawing."""
    now = desk.clock.now()
    ready = answers.without_picture(arrival, door, work, int(now))
    if ready is not None:
        return ready
    if work.fault in _UNANSWERED:
        return Reply(0, b"")
    pictures = answers.drawings(arrival, work, desk.take(arrival.request))

    def made() -> list[Made]:
        if door.by_address(arrival, work):
            return answers.as_addresses(arrival, work, pictures, now)
        return answers.inline(work, pictures, door.form(arrival, work))

    def reply() -> Reply:
        return door.reply(arrival, work, made(), int(now))

    cheap = arrival.options.pictures == "plain" and not arrival.options.bytes
    if cheap or door.by_address(arrival, work):  # cheaper than the way to another thread
        return reply()
    return await asyncio.get_running_loop().run_in_executor(desk.executor, reply)


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
        endpoint=arrival.endpoint,
        batch=arrival.batch,
        references=len(arrival.wish.references),
        seconds=round(work.delay, 3),
    )


def _free_line(desk: Desk, arrival: Arrival, declined: Declined) -> Line:
    """The line of a call that was turned away. What it asked for is not always understood."""
    asked, prompt = arrival.wish.fields, arrival.wish.prompt
    return Line(
        time=round(desk.clock.now(), 3),
        route=arrival.route.contract.route,
        model=str(asked.get("model", ""))[:100],
        key=arrival.key,
        request=arrival.request,
        prompt=sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest() if prompt else "",
        occurrence=declined.occurrence,
        size=str(asked.get("size", ""))[:100],
        quality=str(asked.get("quality", ""))[:100],
        n=1,
        status=declined.reply.status,
        kind=declined.kind,
        fault=declined.fault,
        charged=0,
        request_id=arrival.voice.request_id,
        endpoint=arrival.endpoint,
        batch=arrival.batch,
        references=len(arrival.wish.references),
    )
