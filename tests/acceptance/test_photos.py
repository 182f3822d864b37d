"""A catalog of product photographs with two references each: flat memory, and no photograph is read or shrunk twice."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from tests.support.shop import Shop, gateway

PHOTOS = 40
MANIFEST = """version: 1
name: job
route: {{use: {route}, base_url: "{url}", key_env: SHOP_KEY}}
prompts:
  - from: products.csv
    id: "{{{{ sku }}}}"
    text: "{{{{ name }}}} on a wooden table"
    references: ["photos/{{{{ sku }}}}.jpg", photos/style.png]
sizes: ["{size}"]
"""
# Every file opened for reading below `photos` is written down by the interpreter itself.
WATCH = """
import os, sys
def watch(event, arguments):
    if event == "open" and "/photos/" in str(arguments[0]) and str(arguments[0]).endswith((".jpg", ".png")):
        with open(os.environ["OPENED"], "a", encoding="utf-8") as file:
            file.write(os.path.basename(str(arguments[0])) + "\\n")
sys.addaudithook(watch)
"""
MEASURE = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty photographs of twelve megapixels and 1.5 MB upwards, each with a comment of its own, and a style."""
    folder = tmp_path_factory.mktemp("shop") / "photos"
    folder.mkdir()
    Image.effect_noise((500, 375), 60).convert("RGB").resize((4000, 3000)).save(folder / "one.jpg", quality=80)
    data = (folder / "one.jpg").read_bytes()
    (folder / "one.jpg").unlink()
    for number in range(PHOTOS):
        comment = f"photograph {number:04d}".encode()
        marked = data[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + data[2:]
        (folder / f"SKU-{number + 1:04d}.jpg").write_bytes(marked)
    Image.new("RGB", (1600, 1200), (120, 80, 40)).save(folder / "style.png")
    return folder


@pytest.mark.parametrize(
    ("route", "size"),
    [
        ("laozhang/gpt-image-2-vip", "1:1@1K"),
        ("apiyi/gpt-image-2-vip", "1:1@1K"),
        ("apiyi/gpt-image-2", "1024x1024"),
        ("openai/gpt-image-2", "1024x1024"),
    ],
)
def test_job_of_forty_photographs_stays_small_and_reads_each_once(
    route: str, size: str, photos: Path, tmp_path: Path
) -> None:
    watch = tmp_path / "watch"
    watch.mkdir()
    (watch / "sitecustomize.py").write_text(WATCH, encoding="utf-8")
    opened = tmp_path / "opened"
    shop = Shop(tmp_path, environment={"PYTHONPATH": str(watch), "OPENED": str(opened)})
    shop.catalog(PHOTOS)
    (tmp_path / "photos").mkdir()
    for photo in photos.iterdir():
        (tmp_path / "photos" / photo.name).hardlink_to(photo)
    with gateway(Shop(tmp_path), route=route) as served:
        shop.write("job.yaml", MANIFEST.format(route=route, url=served.base_url, size=size))
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, *shop.command("run", "job.yaml", "--yes")],
            cwd=shop.folder,
            env=shop.env(),
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert shop.states() == {"completed": PHOTOS}
    assert {line.references for line in shop.bill()} == {2}
    kilobytes = int(done.stdout.split()[-1])
    assert kilobytes < 220_000
    counts = Counter(opened.read_text(encoding="utf-8").split())
    assert len(counts) == PHOTOS + 1
    assert set(counts.values()) == {1}
    copies = list((tmp_path / "out/job/.batchgen/inputs").iterdir())
    assert len(copies) == PHOTOS + 1
    assert all(copy.stat().st_size <= 1_500_000 for copy in copies)
    before = opened.stat().st_size
    shop.run("run", "job.yaml", "--yes")
    assert opened.stat().st_size == before
