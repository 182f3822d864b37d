"""An output folder that is not there, as without its drive: nothing is bought again for what lies in it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from batchgen.cli.main import cli
from batchgen.domain.errors import ManifestError, UsageError
from tests.chaos.site import Site, running
from tests.support.shop import Shop, gateway

TASKS = 6
LIMITS = "concurrency: 3, budget: 100.00"


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A job that was killed with whole answers in its spool."""
    folder = tmp_path_factory.mktemp("away")
    with gateway(Shop(folder), "latency=0.05") as shop:
        site = Site.of(shop, "site", TASKS, LIMITS)
        out = site.folder / "out" / "job"
        out.mkdir(parents=True)
        (out / "SKU-0001").touch()  # no image can be placed there: answers stay in the spool
        (out / "SKU-0002").touch()
        site.run("run", "job.yaml", code=4)
        (out / "SKU-0001").unlink()
        (out / "SKU-0002").unlink()
        assert site.receipts() >= 2
    return site


def refused(site: Site) -> str:
    """What a run says that does not begin."""
    words = ["run", str(site.folder / "job.yaml"), "--db", str(site.folder / "batchgen.db"), "--yes"]
    done = CliRunner().invoke(cli, words, env={"SHOP_KEY": site.key})
    assert isinstance(done.exception, UsageError | ManifestError), done.output
    return str(done.exception)


def missing(out: Path) -> None:
    """The folder is not there."""


def mount_point(out: Path) -> None:
    out.mkdir()


def without_spool(out: Path) -> None:
    shutil.copytree(out.with_name("away"), out, ignore=shutil.ignore_patterns(".batchgen"))


def a_file(out: Path) -> None:
    out.touch()


def link_to_nowhere(out: Path) -> None:
    out.symlink_to(out.parent / "nowhere")


def link_to_itself(out: Path) -> None:
    out.symlink_to(out)


KINDS = (missing, mount_point, without_spool, a_file, link_to_nowhere, link_to_itself)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_run_is_refused_while_the_output_folder_is_away(killed: Site, kind: object) -> None:
    out = killed.folder / "out" / "job"
    before = killed.states(), killed.query("SELECT charge FROM attempt")
    away = out.rename(out.with_name("away"))
    try:
        assert callable(kind)
        kind(out)
        said = refused(killed)
        if kind is a_file:
            assert "output.folder: is a file; name a folder" in said
        else:
            assert f"{out} is not there or not the folder of job" in said
            assert "Is its drive mounted?" in said
        assert not (out / ".batchgen").exists()
        assert (killed.states(), killed.query("SELECT charge FROM attempt")) == before
    finally:
        if out.is_symlink() or out.is_file():
            out.unlink()
        shutil.rmtree(out, ignore_errors=True)
        away.rename(out)


def test_run_is_refused_while_nothing_says_whose_the_spool_is(killed: Site) -> None:
    owner = killed.spool / "owner.json"
    aside = owner.rename(killed.folder / "owner.json")
    said = refused(killed)
    assert "does not say whose it is: its owner.json is missing" in said
    aside.rename(owner)


def test_what_lies_in_the_folder_is_placed_when_it_is_back_and_only_the_rest_is_bought(tmp_path: Path) -> None:
    with gateway(Shop(tmp_path), "latency=0.3") as shop:
        site = Site.of(shop, "site", TASKS, LIMITS)
        with running(site) as process:
            assert site.wait_for_attempts(process, 4)
            site.kill(process)
        unanswered = len(site.unanswered())
        out = site.folder / "out" / "job"
        away = out.rename(out.with_name("away"))
        bought = len(site.bill())
        refused(site)
        assert len(site.bill()) <= bought + 3  # those that the gateway was still at
        away.rename(out)
        site.finish()
        assert site.check().calls <= TASKS + unanswered


def test_folder_that_is_gone_for_good_is_no_dead_end(tmp_path: Path) -> None:
    """An empty spool that somebody has made says so."""
    with gateway(Shop(tmp_path), "latency=0.05") as shop:
        site = Site.of(shop, "site", TASKS, LIMITS)
        site.run("run", "job.yaml", "--limit", "2", code=4)
        shutil.rmtree(site.folder / "out")
        refused(site)
        (site.spool).mkdir(parents=True)
        assert "retry job --gone" in site.finish(code=3)
        assert len(site.images()) == TASKS - 2
        assert site.json("retry", "job", "--gone")["available_again"] == 2
        site.finish()
        assert (len(site.images()), len(site.bill())) == (TASKS, TASKS + 2)
