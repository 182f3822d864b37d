"""A text edited and put back while runs are killed: what was delivered stays, and the old text buys nothing."""

from __future__ import annotations

import time
from pathlib import Path

from tests.chaos.promises import promise
from tests.chaos.site import JOB, LIFTED, LONG, Site, running
from tests.chaos.test_kills import chance_of
from tests.support.shop import Shop, gateway

TASKS = 200 if LONG else 30
KILLS = 20 if LONG else 2


def asks(site: Site, words: str) -> None:
    """The job, with so many words in front of each text."""
    site.manifest(JOB.format(limits=LIFTED).replace("Photo of", f"{words} of"))


def test_text_put_back_after_kills_buys_nothing(tmp_path: Path) -> None:
    chance = chance_of(0)
    with gateway(Shop(tmp_path), "latency=0.12", "p_url=0.3") as shop:
        site = Site.of(shop, "site", TASKS)
        site.finish()
        first = {path: path.read_bytes() for path in site.images()}
        for words in ("Photograph", "Picture", "Photo") * (KILLS // 2):
            before = len(site.bill())
            asks(site, words)
            if words == "Photo":
                site.finish()
                site.settle_log()
                assert len(site.bill()) == before, "the old text was paid again"
                continue
            known = site.attempts()
            with running(site, "--rebuy", "changed") as process:
                assert site.wait_for_attempts(process, known)
                time.sleep(chance.uniform(0.0, 0.3))
                site.kill(process)
            time.sleep(site.latency)  # the gateway may still charge for what was in flight
            states = site.query("SELECT state, count(*) FROM task GROUP BY state")
            assert states == [("completed", TASKS)], "a delivered image was undone"
        revisions = site.query("SELECT DISTINCT i.revision FROM task t JOIN image i ON i.id = t.image_id")
        assert revisions == [(1,)]
        assert {path: path.read_bytes() for path in first} == first
        assert "all agree" in site.run("verify").stdout
        charged = sum(line.charged for line in site.bill())
        ((billed, unknown, reserved),) = site.query("SELECT billed, unknown, reserved FROM job")
        assert (reserved, billed <= charged <= billed + unknown) == (0, True)
    promise(
        5,
        "{tasks} delivered images kept over {kills} kills while their text was edited, and 0 calls when it was put back",
        tasks=TASKS,
        kills=2 * (KILLS // 2),
    )
