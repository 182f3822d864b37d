"""Links that somebody put in the way: nothing is written or read through them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.inside import inside
from tests.chaos.promises import promise
from tests.support.shop import Shop, gateway
from tests.support.store import png

JOB = 'prompts: [{id: a, text: a mug, file: "a/b/{{ size }}"}]\nsizes: ["1:1@1K"]\nlimits: {attempts: 1}\n'
IMAGE = "out/job/a/b/1280x1280.png"
Link = Callable[[Path, Path], object]


def linked(name: str, *, folder: bool) -> Link:
    """Puts a link of that name in the output folder, to a folder or a file elsewhere."""

    def make(shop: Path, elsewhere: Path) -> None:
        path = shop / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(elsewhere if folder else elsewhere / "precious")

    return make


LINKS: dict[str, tuple[Link, int]] = {
    "the image's name": (linked(IMAGE, folder=False), 0),
    "the image's name, to nowhere": (lambda shop, _: linked(IMAGE, folder=False)(shop, shop / "nowhere"), 0),
    "the image's folder": (linked("out/job/a/b", folder=True), 4),
    "a folder on the way": (linked("out/job/a", folder=True), 4),
    "the index": (linked("out/job/images.jsonl", folder=False), 4),
    "the spool": (linked("out/job/.batchgen", folder=True), 4),
    "the spool's inputs": (linked("out/job/.batchgen/inputs", folder=True), 0),
    "the owner": (linked("out/job/.batchgen/owner.json", folder=False), 4),
}


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with gateway(Shop(tmp_path_factory.mktemp("gateway"))) as shop:
        yield shop.base_url


@pytest.mark.parametrize("name", LINKS)
def test_link_in_the_output_folder_leads_nowhere(tmp_path: Path, base_url: str, name: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("precious")
    folder = tmp_path / "shop"
    folder.mkdir()
    shop = Shop(folder, base_url)
    link, code = LINKS[name]
    link(folder, elsewhere)
    done = shop.run("run", shop.manifest(JOB), code=None)
    assert (done.returncode == 0) is (code == 0), done.stderr
    assert "internal error" not in done.stderr
    assert [path.name for path in elsewhere.iterdir()] == ["precious"]
    assert (elsewhere / "precious").read_text() == "precious"
    if code == 0:
        image = next(path for path in shop.images() if path.is_file() and not path.is_symlink())
        assert image.stat().st_size > 1_000
    promise(14, f"{len(LINKS)} links in the output folder: 0 bytes elsewhere")


def test_export_leaves_a_link_as_it_is_and_what_it_leads_to(tmp_path: Path, base_url: str) -> None:
    shop = Shop(tmp_path, base_url)
    shop.run("run", shop.manifest(JOB))
    inside(shop, "report", "job", "--format", "csv")
    (table,) = (path for path in shop.folder.rglob("*.csv"))
    precious = shop.write("precious", "precious")
    table.unlink()
    table.symlink_to(precious)
    assert "name another folder with --to" in shop.run("report", "job", "--format", "csv", code=2).stderr
    assert precious.read_text() == "precious"
    assert table.is_symlink()


def test_reference_that_leads_out_of_the_manifests_folder_is_refused(tmp_path: Path) -> None:
    """By a path, by a link to a file, by a link to a folder, by a pipe; all are told at once, and nothing is read."""
    folder = tmp_path / "shop"
    folder.mkdir()
    shop = Shop(folder)
    (tmp_path / "secret.png").write_bytes(png())
    (folder / "fine.png").write_bytes(png())
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "up").symlink_to(tmp_path)
    (folder / "chain.png").symlink_to("link.png")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "device.png").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.png")
    shop.write("secret.txt", "not an image")
    bad = (
        *("link.png", "up/secret.png", "chain.png", "loop.png", "device.png", "pipe.png", "../secret.png"),
        *(f"{tmp_path}/secret.png", "fine.png/../../secret.png", "~/x.png", "up/../secret.png", "file:///etc/passwd"),
        *("/etc/passwd", "/proc/self/environ", "C:/x.png", "a\\b.png", "http://127.0.0.1/x.png", ".", "up", "a\0b"),
    )
    text = "".join(f'  - {{id: r{number}, text: a, references: ["{each}"]}}\n' for number, each in enumerate(bad))
    text = text.replace("a\\b.png", "a\\\\b.png").replace("a\0b", "a\\0b")
    name = shop.manifest(f'prompts:\n{text}sizes: ["1:1@1K"]\n', route="apiyi/gpt-image-2-vip")
    said = shop.run("check", name, code=2).stdout
    for number in range(len(bad)):
        assert f"prompts.{number}.references" in said, (bad[number], said)
    one = 'prompts: [{id: r, text: a, references: ["secret.txt"]}]\nsizes: ["1:1@1K"]\n'
    assert "secret.txt" in shop.run("check", shop.manifest(one, route="apiyi/gpt-image-2-vip"), code=2).stdout
    promise(14, f"{len(bad) + 1} references that lead out refused")
