"""The language of the machine: all is bought as everywhere, or nothing is, with one sentence before any money."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.chaos.promises import cannot, promise
from tests.chaos.site import Site
from tests.support.shop import Shop, gateway
from tests.support.warm import begun_in

IDS = ["Istanbul-ı", "İzmir-ü", "中文-1", "mug-🍺", "INSERT"]
JOB = """
prompts:
  - from: "ürünler-中文.csv"
    id: "{{ sku }}"
    text: "Foto {{ sku }}"
sizes: ["1:1@1K"]
output: {folder: "out/çıktı", file: "{{ id }}"}
limits: {budget: 5.00}
"""
WORKS = [
    "LC_ALL=tr_TR.UTF-8",
    "LC_ALL=az_AZ.UTF-8 PYTHONIOENCODING=ascii",
    "LC_ALL=lt_LT.UTF-8 PYTHONUTF8=0",
    "LC_ALL=C",
    "LC_ALL=POSIX PYTHONUTF8=1 PYTHONCOERCECLOCALE=0",
    "LC_ALL=de_DE.ISO-8859-1 PYTHONUTF8=1",
    "LC_ALL=zh_CN.GBK PYTHONUTF8=1 PYTHONIOENCODING=gbk",
]
REFUSED = [
    "LC_ALL=de_DE.ISO-8859-1",
    "LC_ALL=zh_CN.GBK",
    "LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0",
    "LC_ALL=POSIX PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 PYTHONIOENCODING=ascii",
]


@functools.cache
def locales() -> Path:
    """A folder in which locales are made as they are asked for."""
    return Path(tempfile.mkdtemp(prefix="locales-"))


def environment(words: str) -> dict[str, str]:
    """The variables of a machine with that locale, made here."""
    found = dict(word.split("=", 1) for word in words.split())
    name = found["LC_ALL"]
    if "." in name and not (locales() / name).exists():
        language, charmap = name.split(".")
        made = shutil.which("localedef") and subprocess.run(
            ["localedef", "-i", language, "-f", charmap, str(locales() / name)], check=False, capture_output=True
        )
        if not made or made.returncode > 1:
            cannot(f"the locale {name}: there is no localedef here, or no definition of it")
            pytest.skip(f"no {name}")
    return {**found, "LOCPATH": str(locales())}


def international(shop: Shop) -> Site:
    site = Site.of(shop, "site", len(IDS))
    site.write("ürünler-中文.csv", "sku\n" + "\n".join(IDS) + "\n")
    site.manifest(JOB)
    return site


@pytest.mark.parametrize("words", WORKS)
def test_all_is_bought_in_every_language(tmp_path: Path, words: str) -> None:
    with gateway(Shop(tmp_path)) as shop:
        site = international(shop)
        site.environment = environment(words)
        site.run("run", "job.yaml", "--limit", "2", code=4)
        with begun_in(site.env()):
            events = site.run("run", "job.yaml", "--json").stdout
            assert '"exit": 0' in events
            assert sorted(task["id"] for task in site.json("tasks", "job")) == sorted(IDS)
            site.run("tasks", "job")
            site.run("verify")
        site.environment = {}
        assert sorted(path.stem for path in (site.folder / "out" / "çıktı").glob("*.png")) == sorted(IDS)
        assert site.check_money().calls == len(IDS)
    promise(1, f"{words}: {len(IDS)} of {len(IDS)} images")


@pytest.mark.parametrize("words", REFUSED)
def test_nothing_is_bought_where_not_every_id_can_be_a_file_name(tmp_path: Path, words: str) -> None:
    with gateway(Shop(tmp_path)) as shop:
        site = international(shop)
        site.environment = environment(words)
        said = site.run("run", "job.yaml", code=2).stderr
        assert "set PYTHONUTF8=1" in said
        assert said.count("\n") == 1
        assert not site.bill()
        assert not (site.folder / "batchgen.db").exists()


def test_names_that_are_no_text_are_refused_before_any_money(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/f\xfcr"
    os.mkdir(folder)  # noqa: PTH102 - a Path takes no bytes
    command = [sys.executable, "-m", "batchgen", "check"]
    for words, cwd in (([*command, folder + b"/job.yaml"], None), ([*command, "job.yaml"], folder)):
        done = subprocess.run(words, cwd=cwd, capture_output=True, check=False)
        assert done.returncode == 2
        assert b"f\\udcfcr" in done.stderr
        assert b"is not in UTF-8; rename it" in done.stderr
