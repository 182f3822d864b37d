"""`verify` again and again beside a run that is killed: no false finding, and each real one is found meanwhile."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import pytest

from batchgen.ledger.audit import Finding
from batchgen.report.proof import Proof, prove
from tests.chaos.promises import promise
from tests.chaos.site import Site, running
from tests.support.shop import Shop, gateway, wait_until

KILLS = 3


class Watch(threading.Thread):
    """Somebody who proves the books of a site without a pause, until told that it is enough."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.proofs: list[Proof] = []
        self._path = site.folder / "batchgen.db"
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.is_set():
            self.proofs.append(prove(self._path, checksums=len(self.proofs) % 4 == 0))

    def __enter__(self) -> Watch:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()

    @property
    def findings(self) -> list[Finding]:
        return [finding for each in self.proofs for finding in each.findings]


@pytest.mark.timeout(300)
def test_verify_beside_a_run_and_its_kills_has_no_false_finding_and_every_true_one(tmp_path: Path) -> None:
    chance = random.Random(27)
    with gateway(Shop(tmp_path), "latency=0.05", "p_url=0.3") as shop:
        site = Site.of(shop, "site", 60)
        with running(site) as process:
            wait_until(process, lambda: bool(site.images()))  # one to be hurt, which the next run books
            site.kill(process)
        hurt = site.images()[0]
        with Watch(site) as watch:
            for _ in range(KILLS - 1):
                before = site.attempts()
                with running(site) as process:
                    assert site.wait_for_attempts(process, before + chance.randint(3, 12))
                    site.kill(process)
        assert watch.findings == []
        assert any("died with" in note for each in watch.proofs for note in each.notes)
        going_on = [each for each in watch.proofs if any("a run goes on" in note for note in each.notes)]

        stranger = site.folder / "out" / "job" / "stranger.png"
        stranger.write_bytes(b"of nobody")
        hurt.write_bytes(hurt.read_bytes() + b"!")
        with running(site) as process:
            before = site.attempts()
            assert site.wait_for_attempts(process, before)
            while process.poll() is None:
                told = {finding.where for finding in prove(site.folder / "batchgen.db", checksums=True).findings}
                assert told == {str(stranger), f"job: {hurt.relative_to(site.folder / 'out' / 'job').as_posix()}"}
            assert process.returncode == 3, site.said  # an image is not what was bought
        stranger.unlink()
        hurt.write_bytes(hurt.read_bytes()[:-1])
        site.check()
        assert watch.proofs
        assert going_on
    promise(15, "{looks} looks beside a run and its kills, 0 false findings", looks=len(watch.proofs))
