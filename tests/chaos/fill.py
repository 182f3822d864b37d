"""A job on a disk that a neighbour fills while it runs, and that goes on once there is room. Run inside a mount
namespace of its own.

`fill.py FOLDER bytes` mounts a small file system there and prints what it saw; it fails where anything that was paid was
lost. `fill.py FOLDER inodes` does it where the bytes are plenty and the files run out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

TASKS = 16
IN_FLIGHT = 2
KEPT = 64 << 20  # what is always kept free, in bytes
# Room for what is promised to two answers (32 MiB each), for what is always kept free, and a little.
MEBIBYTES = (KEPT >> 20) + 32 * IN_FLIGHT + 12
INODES = 260
LIMITS = f"concurrency: {IN_FLIGHT}, unknown: 5, attempts: 9, budget: 100.00"


def main(folder: Path, what: str) -> None:
    from tests.chaos.site import Site, running  # noqa: PLC0415 - the path is set first
    from tests.support.shop import Shop, gateway  # noqa: PLC0415

    small = folder / "small"
    small.mkdir()
    room = f"size={MEBIBYTES}m" if what == "bytes" else f"size=1g,nr_inodes={INODES}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", room, "none", str(small)], check=True)
    with gateway(Shop(folder), "latency=0.25", "bytes=3000000") as shop:
        site = Site.of(shop, "small/site", TASKS, LIMITS)
        with running(site) as process:
            while site.receipts() + len(site.images()) < 3:
                assert process.poll() is None, "it ended before the disk was full"
                time.sleep(0.01)
            fill = full if what == "bytes" else crowded
            fill(small / "filler")
            at_full = len(site.bill())
            code = process.wait(60)
        bought = len(site.bill())
        assert code in {1, 4}, f"exit {code}"
        assert bought <= at_full + 2 * IN_FLIGHT, "bought on, with no room left"
        if what == "bytes":  # the run let go of what it held: of that, too little for one answer is to be left
            take(small / "filler" / "more", all_but=KEPT)
        said = site.run("run", "job.yaml", code=4).stderr
        assert "then run again" in said or "free some space and run again" in said, said
        assert len(site.bill()) == bought, "a call though nothing could be stored"
        shutil.rmtree(small / "filler")
        subprocess.run(["mount", "-o", "remount,size=1g", str(small)], check=True)
        assert not site.unanswered(), "a paid answer is not on disk though room was held for it"
        assert not site.states().get("parked"), site.states()
        site.finish()
        assert site.check().calls == TASKS, "bought twice"
    print(f"{what} used up at {at_full} calls: {bought - at_full} in flight kept, 0 calls after; {TASKS} for {TASKS}")


def full(filler: Path) -> None:
    """Take every byte that is left."""
    filler.mkdir()
    take(filler / "bytes", all_but=65536)
    file = os.open(filler / "bytes", os.O_WRONLY | os.O_APPEND)
    with suppress(OSError):
        while True:
            os.write(file, bytes(4096))
    os.close(file)


def take(path: Path, all_but: int) -> None:
    """Take the room that is left, but for so many bytes; where others take it at the same time, what can be had."""
    left = os.statvfs(path.parent)
    file = os.open(path, os.O_WRONLY | os.O_CREAT)
    with suppress(OSError):
        os.posix_fallocate(file, 0, left.f_bavail * left.f_frsize - all_but)
    os.close(file)


def crowded(filler: Path) -> None:
    """Take every inode that is left."""
    filler.mkdir()
    with suppress(OSError):
        for number in range(100_000):
            os.close(os.open(filler / str(number), os.O_WRONLY | os.O_CREAT))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    main(Path(sys.argv[1]), sys.argv[2])
