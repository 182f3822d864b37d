"""The whole life of one call, from its arrival to its line on the bill and its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from hashlib import sha256

from aiohttp import web

from batchgen.domain.errors import UsageError
from batchgen.simulator import gateway_replies
from batchgen.simulator.admission import admit, decline_delay
from batchgen.simulator.answer_transport import Handler, send, whole
from batchgen.simulator.bill import BillLine
from batchgen.simulator.call_plan import CallPlan
from batchgen.simulator.endpoints import answers
from batchgen.simulator.endpoints.endpoint import EncodedPicture, Endpoint
from batchgen.simulator.faults import Fault
from batchgen.simulator.followed_calls import take_in
from batchgen.simulator.gateway_replies import Declined, HttpReply, rejected
from batchgen.simulator.image_request import ImageRequest
from batchgen.simulator.payload import Payload, receive
from batchgen.simulator.state import IncomingCall, ServedRoute, SimulatorState
from batchgen.simulator.streaming import as_events

Keep = Callable[[CallPlan | None, HttpReply], Awaitable[None]]
_UNANSWERED = frozenset({Fault.HANG, Fault.DROP, Fault.NOT_HTTP})
_QUICKLY_READ = 1 << 16  # bytes of JSON that are not worth another thread


def handler_of(state: SimulatorState, route: ServedRoute, endpoint: Endpoint) -> Handler:
    """Make the handler of one endpoint of one route."""

    async def handle(request: web.Request) -> web.StreamResponse:
        payload = await receive(request)
        names = ("authorization", "x-simulate", "host")
        headers = {name: request.headers.get(name, "") for name in names}
        call = state.new_call(route, endpoint.name, payload.digest, headers)
        state.in_flight += 1
        state.in_flight_most = max(state.in_flight_most, state.in_flight)
        try:
            return await _answer(state, request, await with_image_request(state, call, endpoint, payload), endpoint)
        finally:
            state.in_flight -= 1

    return handle


async def with_image_request(
    state: SimulatorState, call: IncomingCall, endpoint: Endpoint, payload: Payload
) -> IncomingCall:
    """Give the call what its payload asks for. The payload is closed."""

    def read() -> ImageRequest:
        try:
            return endpoint.read(call, payload, state.files.open)
        except Declined as declined:
            return ImageRequest(objection=declined)
        finally:
            payload.close()

    if not payload.is_form and len(payload.body) < _QUICKLY_READ:
        return replace(call, image_request=read())
    return replace(call, image_request=await asyncio.get_running_loop().run_in_executor(state.executor, read))


async def _answer(
    state: SimulatorState, request: web.Request, call: IncomingCall, endpoint: Endpoint
) -> web.StreamResponse:
    rule = call.route.contract.task
    plan, reply = await fulfil(state, call, endpoint, at_once=rule is not None)
    if plan is None:
        return whole(reply, call.replies.headers())
    if rule is not None and reply.status == 200 and reply.body.startswith(b"{"):
        taken = take_in(state, rule, reply, plan.delay, call.key)
        return await send(state, request, taken, call.replies.headers(), Fault.NONE, 0.0)
    return await send(state, request, reply, call.replies.headers(), plan.fault, plan.delay)


async def fulfil(
    state: SimulatorState, call: IncomingCall, endpoint: Endpoint, keep: Keep | None = None, *, at_once: bool = False
) -> tuple[CallPlan | None, HttpReply]:
    """Judge a request, do the work, write the line of the bill; no work where it was turned away.

    `keep` is given work and answer before the line is written; `at_once` whether the work takes no time here.
    """
    try:
        plan = admit(state, call)
    except Declined as declined:
        return None, await _declined(state, call, declined, keep)
    except UsageError as error:
        refused = rejected(gateway_replies.error(400, str(error), "simulator_error"))
        return None, await _declined(state, call, refused, keep)
    state.stored += call.image_request.stored
    charged = 0
    try:
        await state.wait(0.0 if at_once else plan.delay)
        reply = await _make(state, call, plan, endpoint)
        if keep is not None:
            await keep(plan, reply)
        charged = plan.charged
        state.bill.append(_line(state, call, plan, reply))
    finally:
        for balance in state.balances(call):
            balance.settle(plan.price, charged)
        call.limits.leave()
    return plan, reply


async def _declined(state: SimulatorState, call: IncomingCall, declined: Declined, keep: Keep | None) -> HttpReply:
    await state.wait(decline_delay(call))
    if keep is not None:
        await keep(None, declined.reply)
    state.bill.append(_free_line(state, call, declined))
    return declined.reply


async def _make(state: SimulatorState, call: IncomingCall, plan: CallPlan, endpoint: Endpoint) -> HttpReply:
    """Make the answer, and draw its pictures where it has any."""
    now = state.clock.now()
    ready = answers.without_picture(call, endpoint, plan, int(now))
    if ready is not None:
        return ready
    if plan.fault in _UNANSWERED:
        return HttpReply(0, b"")
    pictures = answers.drawings(call, plan, state.take(call.request))

    def made() -> list[EncodedPicture]:
        if endpoint.by_address(call, plan):
            return answers.as_addresses(call, plan, pictures, now)
        return answers.inline(plan, pictures, endpoint.form(call, plan))

    def reply() -> HttpReply:
        whole = endpoint.reply(call, plan, made(), int(now))
        return (
            whole
            if plan.fault is not Fault.STREAM
            else as_events(whole, pictures[0], edited=bool(call.image_request.references))
        )

    cheap = call.options.pictures == "plain" and not call.options.bytes
    if cheap or endpoint.by_address(call, plan):  # cheaper than the way to another thread
        return reply()
    return await asyncio.get_running_loop().run_in_executor(state.executor, reply)


def _line(state: SimulatorState, call: IncomingCall, plan: CallPlan, reply: HttpReply) -> BillLine:
    return BillLine(
        time=round(state.clock.now(), 3),
        route=call.route.contract.route,
        model=call.route.contract.model,
        key=call.key,
        request=call.request,
        prompt=sha256(plan.asked.prompt.encode("utf-8", "surrogatepass")).hexdigest(),
        occurrence=plan.chance.occurrence,
        size=str(plan.size),
        quality=plan.quality,
        n=plan.asked.n,
        status=reply.status,
        kind=plan.kind,
        fault="" if plan.fault is Fault.NONE else plan.fault,
        charged=plan.charged,
        request_id=call.replies.request_id,
        usage=plan.usage,
        endpoint=call.endpoint,
        batch=call.batch,
        references=len(call.image_request.references),
        seconds=round(plan.delay, 3),
    )


def _free_line(state: SimulatorState, call: IncomingCall, declined: Declined) -> BillLine:
    """Make the line of a call that was turned away. What it asked for is not always understood."""
    asked, prompt = call.image_request.fields, call.image_request.prompt
    return BillLine(
        time=round(state.clock.now(), 3),
        route=call.route.contract.route,
        model=str(asked.get("model", ""))[:100],
        key=call.key,
        request=call.request,
        prompt=sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest() if prompt else "",
        occurrence=declined.occurrence,
        size=str(asked.get("size", ""))[:100],
        quality=str(asked.get("quality", ""))[:100],
        n=1,
        status=declined.reply.status,
        kind=declined.kind,
        fault=declined.fault,
        charged=0,
        request_id=call.replies.request_id,
        endpoint=call.endpoint,
        batch=call.batch,
        references=len(call.image_request.references),
    )
