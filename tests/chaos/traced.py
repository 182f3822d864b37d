"""Children under strace: their write-type system calls counted, written down, made to kill or to fail."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import NoReturn

import pytest

from tests.chaos.promises import cannot
from tests.chaos.site import HOOKED

WRITES = (
    *("write", "writev", "pwrite64", "pwritev", "ftruncate", "fallocate", "fsync", "fdatasync"),
    *("rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat", "mkdir", "mkdirat"),
)
_BASE = ("strace", "-f", "-qq", "-e", "signal=none")


@functools.cache
def can_trace() -> bool:
    """Whether there is a strace and the kernel lets it work."""
    if shutil.which("strace") is None:
        return False
    done = subprocess.run([*_BASE, "-e", "trace=none", "true"], capture_output=True, timeout=20, check=False)
    return done.returncode == 0


def need_strace(stand_in: str) -> None:
    """Skip what needs it, said aloud."""
    if not can_trace():
        give_up(f"system calls cannot be traced (`make chaos-tools` installs strace); {stand_in}")


def give_up(text: str) -> NoReturn:
    """Skip, and have the summary say so besides."""
    cannot(text)
    pytest.skip(text)


def tracing(log: Path, calls: str = ",".join(WRITES), *more: str) -> list[str]:
    """The words of a tracer that writes a command's calls down."""
    return [*_BASE, "-o", str(log), "-e", f"trace={calls}", *more]


def killing(call: str, number: int) -> list[str]:
    """The words of a tracer that kills a command as one of its threads enters such a call for the n-th time."""
    return [*_BASE, "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={number}"]


def failing(call: str, number: str) -> list[str]:
    """The words of a tracer that has the n-th such call of a thread report an I/O error; `n+` from there on."""
    return [*_BASE, "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:error=EIO:when={number}"]


def points(log: Path) -> list[tuple[str, int]]:
    """Every call and count that a kill can name, in the order in which they were first reached."""
    reached: dict[tuple[str, int], None] = {}
    by_thread: Counter[tuple[str, str]] = Counter()
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        found = re.match(r"(\d+) +(\w+)\(", line)
        if found:
            by_thread[found[1], found[2]] += 1
            reached.setdefault((found[2], by_thread[found[1], found[2]]))
    return list(reached)


def hooked(mode: str) -> dict[str, str]:
    """The environment that puts a fault of `hook/sitecustomize.py` into a child."""
    return {HOOKED: mode}
