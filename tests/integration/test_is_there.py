"""The free question by which a gateway shows that it is there: what is a sign of life, and what is not."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace

import pytest
from aiohttp import web

from batchgen.domain.clock import SystemClock
from batchgen.gateway.client import Client
from batchgen.gateway.request import build_question
from tests.support.gateway import contract
from tests.support.sockets import raw_server, served

ROUTE = "apiyi/gpt-image-2-vip"


async def is_there(base: str, within: float = 5.0) -> bool:
    question = build_question(replace(contract(ROUTE), base_url=base), "K")
    async with Client(clock=SystemClock(), key=lambda _name: "sk-0123456789") as client:
        return await client.is_there(replace(question, timeout=within))


@pytest.mark.parametrize(
    ("status", "kind", "there"),
    [
        (200, "application/json", True),
        (401, "application/json", True),
        (404, "application/json", True),
        (404, "text/plain", True),
        (429, "application/json", True),
        (308, "application/json", True),
        (200, "text/html", False),
        (404, "text/html; charset=utf-8", False),
        (500, "application/json", False),
        (503, "application/json", False),
    ],
)
async def test_any_answer_is_a_sign_of_life_but_for_a_server_error_and_a_web_page(
    status: int, kind: str, there: bool
) -> None:
    asked: list[tuple[str, str, str]] = []

    async def serve(request: web.Request) -> web.Response:
        asked.append((request.method, request.path, request.headers["Authorization"]))
        return web.Response(status=status, body=b"x", headers={"Content-Type": kind, "Location": "/elsewhere"})

    async with served(serve) as base:
        assert await is_there(base) is there
    assert asked == [("GET", "/v1/models", "Bearer sk-0123456789")]


async def test_silence_and_a_refused_connection_are_no_sign_of_life() -> None:
    async def say_nothing(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw_server(say_nothing) as base:
        assert not await is_there(base, within=0.1)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        assert not await is_there(f"http://127.0.0.1:{nobody.getsockname()[1]}/v1")


async def test_key_is_asked_with_at_no_address_that_is_not_https() -> None:
    assert not await is_there("http://api.example.com/v1")
