"""References that are addresses, on a route that takes files only: fetched once, kept, and sent like files."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web
from PIL import Image

from batchgen.domain.clock import SystemClock
from batchgen.domain.images_from import ImagesFrom
from batchgen.engine.local_fetch import InputFetcher
from batchgen.store.checks.stream import BadImage
from tests.support.shop import Shop
from tests.support.sockets import served

ROWS = 5


def encoded(colour: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (320, 240), (colour, 90, 120)).save(out, "PNG")
    return out.getvalue()


@dataclass
class Exported:
    """A shop whose export holds addresses: its storage, and a gateway that keeps the references it was sent."""

    shop: Shop
    storage: str = ""
    photos: dict[str, bytes] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)

    async def photo(self, request: web.Request) -> web.Response:
        name = request.path.rpartition("/")[2]
        self.fetched.append(name)
        assert "Authorization" not in request.headers
        return web.Response(body=self.photos[name]) if name in self.photos else web.Response(status=404)

    async def answer(self, request: web.Request) -> web.Response:
        form = await request.post()
        for value in form.values():
            if isinstance(value, web.FileField):
                self.sent.append(value.file.read())
        result = encoded(10 * len(self.sent) + 5)  # none of the photos: a gateway that sends those back brings nothing
        picture = base64.b64encode(result).decode()
        return web.json_response({"created": 1, "data": [{"b64_json": picture}]})

    def write(self, rows: int = ROWS, more: str = "") -> None:
        self.shop.write(
            "p.csv", "sku,photo\n" + "".join(f"A{n},{self.storage}/v1/{n}.png\n" for n in range(1, rows + 1))
        )
        self.shop.manifest(
            f'images_from: ["{self.storage}"]\nsizes: [1280x1280]\n{more}'
            'prompts:\n  - {from: p.csv, id: "{{ sku }}", text: On oak, references: ["{{ photo }}"]}\n'
        )

    async def run(self, *words: str, code: int = 0) -> str:
        done = await asyncio.to_thread(self.shop.run, *words, code=code)
        return done.stdout + done.stderr


@asynccontextmanager
async def exported(folder: Path) -> AsyncIterator[Exported]:
    made = Exported(Shop(folder), photos={f"{n}.png": encoded(10 * n) for n in range(1, ROWS + 1)})
    async with served(made.answer) as base, served(made.photo) as storage:
        made.shop.base_url, made.storage = base, storage.removesuffix("/v1")
        made.write()
        yield made


async def test_addresses_are_fetched_once_and_sent_as_files(tmp_path: Path) -> None:
    async with exported(tmp_path) as export:
        said = await export.run("check", "job.yaml")
        assert f"the first run fetches 5 references from {export.storage.removeprefix('http://')}" in said
        await export.run("plan", "job.yaml")
        assert export.fetched == []
        await export.run("run", "job.yaml")
        assert sorted(export.fetched) == sorted(export.photos)
        assert sorted(export.sent) == sorted(export.photos.values())
        assert export.shop.states() == {"completed": ROWS}
        export.photos.clear()  # gone from the storage: what was fetched is kept
        await export.run("plan", "job.yaml")
        await export.run("run", "job.yaml")
        export.write(more="count: 2\n")
        await export.run("run", "job.yaml")
        assert len(export.fetched) == ROWS
        assert len(export.sent) == 2 * ROWS
        for copy in (tmp_path / "out/job/.batchgen/inputs").iterdir():
            if "fetched" not in copy.name:
                copy.unlink()  # made again from what came, which is kept beside them
        export.write(more="count: 3\n")
        await export.run("run", "job.yaml")
        assert (len(export.fetched), len(export.sent)) == (ROWS, 3 * ROWS)
        await export.run("verify")


async def test_another_content_buys_nothing_by_itself_and_refresh_says_what_is_another(tmp_path: Path) -> None:
    async with exported(tmp_path) as export:
        await export.run("run", "job.yaml")
        before, export.photos["3.png"] = export.photos["3.png"], encoded(200)
        await export.run("run", "job.yaml")
        assert (len(export.fetched), len(export.sent)) == (ROWS, ROWS)
        kept = sorted((tmp_path / "out/job/.batchgen/inputs").iterdir())
        for number, command in enumerate(("plan", "run"), 2):
            said = await export.run(command, "job.yaml", "--refresh-inputs")
            assert (len(export.fetched), len(export.sent)) == (number * ROWS, ROWS)
            changed = [line for line in said.splitlines() if "has other content now" in line]
            assert len(changed) == 1
            assert changed[0].startswith("p.csv:4: prompts.0.references.0: ")
            assert "3.png" in changed[0]
            added = set((tmp_path / "out/job/.batchgen/inputs").iterdir()) - set(kept)
            assert len(added) == (0 if command == "plan" else 2)  # as it came, and as it is sent
        assert "has other content now" not in await export.run("plan", "job.yaml", "--refresh-inputs")
        export.write(more="count: 2\n")  # what is bought from now on is made from what is there now
        await export.run("run", "job.yaml")
        assert export.photos["3.png"] in export.sent[ROWS:]
        assert before not in export.sent[ROWS:]
        assert len(export.fetched) == 4 * ROWS


async def test_what_cannot_be_fetched_is_told_with_its_row_before_any_call(tmp_path: Path) -> None:
    async with exported(tmp_path) as export:
        del export.photos["2.png"]
        export.photos["4.png"] = b"<html>no picture</html>"
        said = await export.run("run", "job.yaml", code=2)
        lines = [line for line in said.splitlines() if "p.csv:" in line]
        assert len(lines) == 2
        assert "p.csv:3: prompts.0.references.0: " in lines[0]
        assert lines[0].endswith("2.png: cannot be fetched: status 404")
        assert "p.csv:5: prompts.0.references.0: " in lines[1]
        assert export.sent == []
        assert not (tmp_path / "batchgen.db").exists() or export.shop.states() == {}


async def test_redirect_to_a_place_that_is_not_allowed_names_it(tmp_path: Path) -> None:
    async with exported(tmp_path) as export:

        async def away(request: web.Request) -> web.Response:
            return web.Response(status=302, headers={"Location": f"{export.storage}/1.png"})

        async with served(away) as other:
            host = other.removesuffix("/v1")
            export.shop.manifest(
                f'images_from: ["{host}"]\nsizes: [1280x1280]\n'
                f"prompts:\n  - {{id: a, text: On oak, references: [{host}/a.png]}}\n"
            )
            said = await export.run("run", "job.yaml", code=2)
        assert f'images_from: ["{export.storage}"]' in said
        assert "job.yaml:7:" in said
        assert export.fetched == export.sent == []


async def test_passing_fault_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def sleep(self: SystemClock, seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(SystemClock, "sleep", sleep)
    fails = [500, 503]

    async def busy(request: web.Request) -> web.Response:
        return web.Response(status=fails.pop(0)) if fails else web.Response(body=b"picture")

    async with served(busy) as base:
        host = base.removesuffix("/v1")
        fetch = InputFetcher(ImagesFrom.of([host]), SystemClock())
        assert await fetch(f"{host}/a.png") == b"picture"
        assert len(waits) == 2
        fails[:] = [500] * 9
        with pytest.raises(BadImage, match="status 500"):
            await fetch(f"{host}/a.png")
        assert len(fails) == 6
