"""How an answer travels: whole, or in one of the ways a connection goes wrong."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import cast

from aiohttp import web

from batchgen.simulator.faults import Fault
from batchgen.simulator.gateway_replies import HttpReply
from batchgen.simulator.state import SimulatorState

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_DRIPS = 20
_GLANCE = 0.25  # seconds between looks at whether a client that is left hanging has gone


async def send(
    state: SimulatorState,
    request: web.Request,
    reply: HttpReply,
    headers: tuple[tuple[str, str], ...],
    fault: Fault,
    delay: float,
) -> web.StreamResponse:
    """Answer a request in the way its fault says; `delay` is how long the call took, in seconds."""
    if fault is Fault.HANG:
        return await _hang(state, request)
    if fault is Fault.DROP:
        return _reset(request)
    if fault is Fault.NOT_HTTP:
        return _mumble(request)
    if fault is Fault.CUT:
        return await _cut(request, _stream(reply, headers), reply.body)
    if fault is Fault.SLOW:
        return await _drip(state, request, _stream(reply, headers), reply.body, 3 * delay)
    return whole(reply, headers)


def whole(reply: HttpReply, headers: tuple[tuple[str, str], ...] = ()) -> web.Response:
    """Make an answer that travels the usual way: in one piece."""
    response = web.Response(status=reply.status, body=reply.body)
    response.headers.extend((*headers, *reply.headers))
    response.headers["Content-Type"] = reply.content_type
    return response


def _stream(reply: HttpReply, headers: tuple[tuple[str, str], ...]) -> web.StreamResponse:
    response = web.StreamResponse(status=reply.status)
    response.headers.extend((*headers, *reply.headers))
    response.headers["Content-Type"] = reply.content_type
    response.content_length = len(reply.body)
    return response


async def _hang(state: SimulatorState, request: web.Request) -> web.StreamResponse:
    while request.transport is not None and not request.transport.is_closing():
        try:
            await asyncio.wait_for(state.closing.wait(), _GLANCE)
            break
        except TimeoutError:
            continue
    return _reset(request)


def _reset(request: web.Request) -> web.Response:
    """Close without a word, and with a reset rather than a polite end."""
    if request.transport is not None:
        connection = cast(socket.socket | None, request.transport.get_extra_info("socket"))
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
    return web.Response(status=500)  # nobody is there to read it


def _mumble(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.write(b"\x16\x03\x01 no HTTP here\r\n\r\n")
        request.transport.close()
    return web.Response(status=500)  # nobody is there to read it


async def _cut(request: web.Request, response: web.StreamResponse, body: bytes) -> web.StreamResponse:
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


async def _drip(
    state: SimulatorState, request: web.Request, response: web.StreamResponse, body: bytes, seconds: float
) -> web.StreamResponse:
    await response.prepare(request)
    step = -(-len(body) // _DRIPS) or 1
    for start in range(0, len(body), step):
        await state.wait(seconds / _DRIPS)
        await response.write(body[start : start + step])
    return response
