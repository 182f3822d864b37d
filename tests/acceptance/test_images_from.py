"""Paid images at addresses that a rule of ours refuses: the route stops at the first, and the way out costs no call."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from PIL import Image

from tests.support.shop import Shop
from tests.support.sockets import served

PROMPTS = 12
IN_FLIGHT = 2


@dataclass
class Elsewhere:
    """A gateway whose images lie on another host of this machine, which no download goes to by itself."""

    shop: Shop
    calls: int = 0
    fetched: list[str] = field(default_factory=list)
    host: str = ""
    address: str = "{host}/{number}.png"

    async def answer(self, request: web.Request) -> web.Response:
        await request.read()
        self.calls += 1
        url = self.address.format(host=self.host, number=self.calls)
        return web.json_response({"created": 1, "data": [{"url": url}]})

    async def image(self, request: web.Request) -> web.Response:
        self.fetched.append(request.path)
        out = io.BytesIO()
        Image.effect_noise((256, 256), 80 + len(self.fetched)).convert("RGB").save(out, "PNG")
        return web.Response(body=out.getvalue(), content_type="image/png")

    async def run(self, images_from: str, code: int) -> str:
        more = f"images_from: {images_from}\n" if images_from else ""
        prompts = "".join(f"  - {{id: p{number}, text: thing {number}}}\n" for number in range(PROMPTS))
        self.shop.manifest(f"sizes: [1280x1280]\nlimits: {{concurrency: {IN_FLIGHT}}}\n{more}prompts:\n{prompts}")
        done = await asyncio.to_thread(self.shop.run, "run", "job.yaml", code=code)
        return done.stdout + done.stderr


@asynccontextmanager
async def elsewhere(folder: Path) -> AsyncIterator[Elsewhere]:
    made = Elsewhere(Shop(folder))
    async with served(made.answer) as base, served(made.image) as host:
        made.shop.base_url, made.host = base, host.removesuffix("/v1")
        yield made


async def test_route_stops_at_the_first_and_the_next_run_fetches_it_once_it_is_allowed(tmp_path: Path) -> None:
    async with elsewhere(tmp_path) as gateway:
        said = await gateway.run("", 4)
        paid = gateway.calls
        assert 1 <= paid <= IN_FLIGHT
        assert f'images_from: ["{gateway.host}"]' in said
        assert "plain http" in said
        assert gateway.shop.states() == {"running": paid, "available": PROMPTS - paid}
        said = await gateway.run("", 4)  # as it said: it buys nothing before that
        assert gateway.calls == paid
        assert f'images_from: ["{gateway.host}"]' in said
        assert "not allowed" in said
        await gateway.run(f'["{gateway.host}"]', 0)
        assert gateway.calls == len(gateway.fetched) == PROMPTS
        assert gateway.shop.states() == {"completed": PROMPTS}
        assert gateway.shop.query("SELECT count(*) FROM attempt WHERE charge = 'billed'") == [(PROMPTS,)]


async def test_way_out_is_named_also_where_nothing_is_left_to_buy(tmp_path: Path) -> None:
    async with elsewhere(tmp_path) as gateway:
        job = "sizes: [1280x1280]\nprompts: [{id: a, text: a}]\n"
        for _ in range(2):
            ran = await asyncio.to_thread(gateway.shop.run, "run", gateway.shop.manifest(job), code=4)
            assert (ran.stdout + ran.stderr).count("into the manifest, or under its route") >= 1
            assert ran.stdout.count(f'images_from: ["{gateway.host}"]') <= 1
        assert gateway.calls == 1
        allowed = gateway.shop.manifest(f'images_from: ["{gateway.host}"]\n{job}')
        await asyncio.to_thread(gateway.shop.run, "run", allowed, code=0)
        assert (gateway.calls, len(gateway.fetched)) == (1, 1)


async def test_route_stops_at_the_first_that_nothing_can_allow(tmp_path: Path) -> None:
    """And says that the next run buys again."""
    async with elsewhere(tmp_path) as gateway:
        gateway.address = "https://169.254.169.254/{number}.png"
        said = await gateway.run("", 4)
        assert 1 <= gateway.calls <= IN_FLIGHT
        assert "169.254.169.254 is not a public address (link-local)" in said
        assert "the next run buys over it again" in said
        assert "images_from" not in said
        assert gateway.shop.states() == {"parked": gateway.calls, "available": PROMPTS - gateway.calls}


async def test_entry_of_the_manifest_is_checked_with_its_line(tmp_path: Path) -> None:
    async with elsewhere(tmp_path) as gateway:
        said = await gateway.run('["http://img.example", "https://img.example"]', 2)
        assert "job.yaml:6:37: images_from.1: https://img.example is allowed anyway" in said
        use = f'{{use: apiyi/gpt-image-2-vip, base_url: "{gateway.shop.base_url}", images_from: [10.0.0.0/7]}}'
        name = gateway.shop.manifest("prompts: [{id: a, text: a}]\n", route=use)
        refused = await asyncio.to_thread(gateway.shop.run, "check", name, code=2)
        assert "route.images_from: 10.0.0.0/7 is not a private network" in refused.stdout + refused.stderr
        assert gateway.calls == 0


async def test_route_may_allow_it_as_well(tmp_path: Path) -> None:
    async with elsewhere(tmp_path) as gateway:
        base, host = gateway.shop.base_url, gateway.host
        use = f'{{use: apiyi/gpt-image-2-vip, base_url: "{base}", key_env: SHOP_KEY, images_from: ["{host}"]}}'
        name = gateway.shop.manifest("sizes: [1280x1280]\nprompts: [{id: a, text: a}]\n", route=use)
        await asyncio.to_thread(gateway.shop.run, "run", name, code=0)
        assert gateway.calls == len(gateway.fetched) == 1
