"""A job on a disk that fills up while it runs, and goes on once there is room. Run inside a mount namespace of its own.

`fill.py FOLDER` mounts a small file system there and prints what it saw; it fails where anything was lost.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

TASKS = 30
IN_FLIGHT = 2
# Room for what is promised to two answers (32 MiB each), for what is always kept free (64 MiB), and a little.
MEBIBYTES = 64 + 32 * IN_FLIGHT + 12
LIMITS = f"concurrency: {IN_FLIGHT}, unknown: 5, attempts: 9, budget: 100.00"


def main(folder: Path) -> None:
    from tests.chaos.site import Site, running  # noqa: PLC0415 - the path is set first
    from tests.shop import Shop, gateway  # noqa: PLC0415

    small = folder / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={MEBIBYTES}m", "none", str(small)], check=True)
    with gateway(Shop(folder), "latency=0.25") as shop:
        site = Site.of(shop, "small/site", TASKS, LIMITS)
        with running(site) as process:
            while site.receipts() + len(site.images()) < 3:
                assert process.poll() is None, "it ended before the disk was full"
                time.sleep(0.01)
            full(small / "filler")
            at_full = len(site.bill())
            code = process.wait(60)
        bought = len(site.bill())
        assert code in {1, 4}, f"exit {code}"
        assert bought <= at_full + 2 * IN_FLIGHT, "bought on, with no room left"
        said = site.run("run", "job.yaml", code=4).stderr
        assert "make room there, then run again" in said or "free some space and run again" in said, said
        assert len(site.bill()) == bought, "a call though nothing could be stored"
        (small / "filler").unlink()
        unanswered = len(site.unanswered())
        site.run("run", "job.yaml", code=None)
        lost = site.states().get("parked", 0)
        if lost:
            site.run("retry", "job", "--parked")
            site.finish()
        calls = site.check().calls
        assert calls <= TASKS + unanswered + lost, f"{calls} calls"
        assert unanswered + lost <= 2 * IN_FLIGHT
    print(f"disk filled up at {at_full} calls: {bought - at_full} in flight, 0 calls after; {calls} calls for {TASKS}")


def full(filler: Path) -> None:
    """Take every byte that is left."""
    left = os.statvfs(filler.parent)
    file = os.open(filler, os.O_WRONLY | os.O_CREAT)
    with suppress(OSError):
        os.posix_fallocate(file, 0, left.f_bavail * left.f_frsize - 65536)
    with suppress(OSError):
        os.lseek(file, 0, os.SEEK_END)
        while True:
            os.write(file, bytes(4096))
    os.close(file)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    main(Path(sys.argv[1]))
