"""`batchgen` behind a proxy, as a person has it: calls and downloads go through, and the password is nowhere."""

from __future__ import annotations

import asyncio
import io
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest
from aiohttp import web
from PIL import Image

from tests.chaos.test_canary import CANARY, LOOKS, search
from tests.support import warm
from tests.support.proxies import TINYPROXY, Certificate, OwnProxy, own_proxy, served_by_tls, tinyproxy
from tests.support.shop import Shop

USER, PASSWORD = "clerk", "pr0xyCanaryXw7QzT4"
KINDS = ["own", *(["tinyproxy"] if TINYPROXY else [])]
ROUTE = "{use: apiyi/gpt-image-2-vip, base_url: 'https://gateway.example/v1', key_env: SHOP_KEY%s}"
PROMPTS = "sizes: [1280x1280]\nprompts:\n" + "".join(
    f"  - {{id: p{number}, text: thing {number}}}\n" for number in range(4)
)


@cache
def noise(number: int) -> bytes:
    """A picture, another for every number."""
    out = io.BytesIO()
    Image.effect_noise((1280, 1280), 40 + number).convert("RGB").save(out, "PNG", compress_level=0)
    return out.getvalue()


@dataclass
class Office:
    """A gateway and its images far away, and the proxy that is the only way there.

    Attributes:
        proxy: the address of the proxy, without user and password.
        far: what leads to the gateway.
    """

    shop: Shop
    proxy: str = ""
    far: OwnProxy = field(default_factory=OwnProxy)
    calls: int = 0
    keys: set[str] = field(default_factory=set)

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        if request.method == "POST":
            self.calls += 1
            self.keys.add(request.headers["Authorization"])
            assert json.loads(body)["prompt"]
            return web.json_response({"created": 1, "data": [{"url": f"https://images.example/{self.calls}.png"}]})
        return web.Response(body=noise(int(request.path.strip("/.png"))), content_type="image/png")

    async def run(self, *words: str, code: int = 0, more: str = "", **environment: str) -> str:
        self.shop.environment |= environment
        done = await asyncio.to_thread(self.shop.run, *words, code=code)
        return done.stdout + done.stderr

    def manifest(self, more: str = "", limits: str = "") -> None:
        self.shop.manifest(PROMPTS + limits, route=ROUTE % more)


def trusting(certificate: Certificate) -> dict[str, str]:
    return {"SHOP_KEY": CANARY, "SSL_CERT_FILE": str(certificate.file), "BATCHGEN_DEBUG": "1"}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Certificate]:
    """One that commands trust, which they start with."""
    made = Certificate.made(tmp_path_factory.mktemp("tls"))
    with warm.begun_in({**os.environ, **trusting(made)}):
        yield made


@asynccontextmanager
async def office(folder: Path, certificate: Certificate, kind: str = "own", login: str = "") -> AsyncIterator[Office]:
    (folder / "shop").mkdir()
    made = Office(Shop(folder / "shop", environment=trusting(certificate)))
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(served_by_tls(made.answer, certificate.server))
        own = login if kind == "own" else ""
        made.far = await stack.enter_async_context(own_proxy(login=own, gateway=port, images=port))
        near = made.far.port
        if kind == "tinyproxy":
            near = await stack.enter_async_context(tinyproxy(folder / "tiny", login=login, upstream=near))
        made.proxy = f"127.0.0.1:{near}"
        yield made


def connected_to(made: Office) -> list[str]:
    return sorted({line.split()[1] for line in made.far.asked if line.startswith("CONNECT ")})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("login", ["", f"{USER}:{PASSWORD}"], ids=["open", "with a password"])
async def test_calls_and_downloads_go_through_the_proxy_of_the_environment(
    tmp_path: Path, certificate: Certificate, kind: str, login: str
) -> None:
    async with office(tmp_path, certificate, kind, login) as made:
        made.manifest()
        said = [await made.run("run", "job.yaml", HTTPS_PROXY=f"http://{login}{'@' if login else ''}{made.proxy}")]
        assert made.shop.states() == {"completed": 4}
        assert (made.calls, len(made.shop.images())) == (4, 4)
        assert connected_to(made) == ["gateway.example:443", "images.example:443"]
        assert made.keys == {f"Bearer {CANARY}"}
        said += [await made.run(*words) for words in (*LOOKS, ("doctor",), ("doctor", "--json"))]
        search(made.shop, *said, secret=PASSWORD)
        search(made.shop, *said)


@pytest.mark.parametrize("kind", KINDS)
async def test_calls_and_downloads_go_through_the_proxy_of_the_route(
    tmp_path: Path, certificate: Certificate, kind: str
) -> None:
    async with office(tmp_path, certificate, kind, f"{USER}:{PASSWORD}") as made:
        made.manifest(f", proxy: 'http://{USER}:${{OFFICE_PASSWORD}}@{made.proxy}'")
        said = [await made.run("run", "job.yaml", code=2, NO_PROXY="*", HTTPS_PROXY="http://127.0.0.1:1")]
        assert "OFFICE_PASSWORD, which `proxy:`" in said[0]
        assert not (made.shop.folder / "batchgen.db").exists()
        made.shop.write(".env", f"OFFICE_PASSWORD={PASSWORD}\n").chmod(0o600)
        said += [await made.run("run", "job.yaml")]
        assert made.shop.states() == {"completed": 4}
        assert connected_to(made) == ["gateway.example:443", "images.example:443"]
        said += [await made.run(*words) for words in LOOKS]
        (made.shop.folder / ".env").unlink()
        search(made.shop, *said, secret=PASSWORD)


@pytest.mark.parametrize("kind", KINDS)
async def test_wrong_password_stops_the_route_before_anything_is_sent(
    tmp_path: Path, certificate: Certificate, kind: str
) -> None:
    async with office(tmp_path, certificate, kind, f"{USER}:another") as made:
        made.manifest()
        said = await made.run("run", "job.yaml", code=4, HTTPS_PROXY=f"http://{USER}:{PASSWORD}@{made.proxy}")
        assert "nothing gets out through the proxy" in said
        assert "HTTP 40" in said
        assert made.calls == 0
        assert made.shop.states() == {"available": 4}
        assert set(made.shop.query("SELECT outcome, charge FROM attempt")) == {("not_sent", "void")}
        said += await made.run("status", "job") + await made.run("report", "job")
        search(made.shop, said, secret=PASSWORD)
        assert USER not in said


async def test_host_without_a_proxy_is_not_asked_for_there(tmp_path: Path, certificate: Certificate) -> None:
    async with office(tmp_path, certificate) as made:
        made.manifest()
        said = await made.run("run", "job.yaml", code=4, HTTPS_PROXY=f"http://{made.proxy}", NO_PROXY="gateway.example")
        assert "the name of the gateway is not found" in said
        assert made.far.heads == []
        made.manifest(", proxy: none")
        assert "is not found" in await made.run("run", "job.yaml", code=4, NO_PROXY="")
        assert made.far.heads == []


async def test_certificate_that_is_not_trusted_stops_the_route(tmp_path: Path, certificate: Certificate) -> None:
    async with office(tmp_path, certificate) as made:
        made.manifest()
        del made.shop.environment["SSL_CERT_FILE"]
        said = await made.run("run", "job.yaml", code=4, HTTPS_PROXY=f"http://{made.proxy}")
        assert "name its certificate in SSL_CERT_FILE" in said
        assert (made.calls, made.shop.states()) == (0, {"available": 4})


@pytest.mark.parametrize(
    ("proxy", "said"),
    [
        (f"http://{USER}:{PASSWORD}@127.0.0.1:1", "holds a password, which belongs into a variable"),
        (f"{USER}:{PASSWORD}@127.0.0.1:1", "holds a password, which belongs into a variable"),
        ("socks5://127.0.0.1:1", "is a SOCKS proxy"),
        (f"ftp://{PASSWORD}", "must be an address such as"),
        ("http://127.0.0.1:1/way", "must be an address such as"),
    ],
)
async def test_proxy_that_cannot_be_written_so_is_a_problem_of_the_manifest(
    tmp_path: Path, proxy: str, said: str
) -> None:
    shop = Shop(tmp_path, environment={"SHOP_KEY": CANARY})
    for more, key in ((ROUTE % f", proxy: '{proxy}'", "route.proxy: "), ("openai/gpt-image-2", "fallback.0: ")):
        fallback = f"fallback: [{ROUTE % f', proxy: {proxy!r}'}]\n" if "fallback" in key else ""
        shop.manifest(PROMPTS + fallback, route=more)
        done = shop.run("check", "job.yaml", code=2)
        complaint = done.stdout + done.stderr
        assert said in complaint
        assert key in complaint
        assert PASSWORD not in complaint


async def test_socks_proxy_of_the_environment_is_told_before_anything_is_recorded(tmp_path: Path) -> None:
    shop = Shop(tmp_path, environment={"SHOP_KEY": CANARY, "ALL_PROXY": f"socks5://{USER}:{PASSWORD}@127.0.0.1:1"})
    shop.manifest(PROMPTS, route=ROUTE % "")
    done = shop.run("run", "job.yaml", code=2)
    assert "ALL_PROXY is a SOCKS proxy" in done.stderr
    assert PASSWORD not in done.stderr
    assert not (tmp_path / "batchgen.db").exists()
