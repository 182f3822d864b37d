"""What the figures share: a gateway of their own, a command as a fresh process, and what that took."""

from __future__ import annotations

import heapq
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PLAIN = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
KEYS = {"BENCH_KEY": "sk-of-the-bench", "BENCH_KEY_2": "sk-of-the-bench-too"}
REFERENCES = ("naive", "sdk")


@dataclass(frozen=True)
class Took:
    """What a process took, and how it ended; seconds and bytes."""

    wall: float
    cpu: float
    memory: int
    code: int
    files: int


@dataclass(frozen=True)
class Table:
    """One figure: how it was taken, and its rows."""

    name: str
    how: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def text(self) -> str:
        """Write it as Markdown."""
        lines = [self.head, tuple("---" for _ in self.head), *self.rows]
        return f"{textwrap.fill(self.how, 118)}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


class Gateway:
    """The neutral gateway as a process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        port = process.stdout.readline().strip() if process.stdout else ""
        self._root = f"http://127.0.0.1:{port}"
        self.base_url = f"{self._root}/v1"

    def set(self, **options: float) -> None:
        """Give it options, and have it count anew."""
        self._get("/set?" + "&".join(f"{name}={value}" for name, value in options.items()))

    def stats(self) -> dict[str, Any]:
        """Return what it was asked."""
        return dict(json.loads(self._get("/stats")))

    def _get(self, path: str) -> bytes:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(self._root + path, timeout=60) as page:
            return bytes(page.read())


@contextmanager
def gateway() -> Iterator[Gateway]:
    """Serve until the end."""
    with subprocess.Popen([sys.executable, str(HERE / "gateway.py")], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Gateway(process)
        finally:
            process.terminate()


@dataclass(frozen=True)
class Job:
    """What batchgen is asked for; `limits` and `keys` as in a manifest."""

    images: int
    at_once: int
    limits: str = ""
    keys: str = "key_env: BENCH_KEY"
    name: str = "bench"


def manifest(folder: Path, base_url: str, job: Job) -> Path:
    """Write the job of so many different prompts."""
    with (folder / f"{job.name}.csv").open("w", encoding="utf-8") as rows:
        rows.write("id\n")
        rows.writelines(f"{job.name}-{number:07d}\n" for number in range(job.images))
    path = folder / f"{job.name}.yaml"
    path.write_text(
        f"""version: 1
name: {job.name}
route: {{use: laozhang/gpt-image-2, base_url: "{base_url}", {job.keys}, concurrency: {job.at_once}}}
prompts:
  - {{from: {job.name}.csv, id: "{{{{ row.id }}}}", text: "picture {{{{ row.id }}}} of a bench", file: "{{{{ id }}}}"}}
limits: {{concurrency: {job.at_once}, budget: 10000000.00{job.limits}}}
""",
        encoding="utf-8",
    )
    return path


def run(command: Sequence[str], folder: Path, *, limit: float = 3600.0) -> Took:
    """Run a command in a folder to its end, and say what it and all it waited for took."""
    begun = time.perf_counter()
    with (folder / "log.txt").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=PLAIN | KEYS, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    timer = time.monotonic() + limit
    while True:
        pid, status, used = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        if time.monotonic() > timer:
            process.send_signal(signal.SIGINT)
            timer = float("inf")
        time.sleep(0.005)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - begun
    files = sum(1 for _ in folder.rglob("*.png"))
    return Took(wall, used.ru_utime + used.ru_stime, used.ru_maxrss << 10, process.returncode, files)


def batchgen(folder: Path, served: Gateway, job: Job, *words: str) -> Took:
    """Have batchgen do a job."""
    path = manifest(folder, served.base_url, job)
    return run([sys.executable, "-m", "batchgen", "run", path.name, "--yes", *words], folder)


def reference(kind: str, folder: Path, served: Gateway, job: Job) -> Took:
    """Have one of the references do the same."""
    script = str(HERE / "clients.py")
    return run([sys.executable, script, kind, served.base_url, str(job.images), str(job.at_once)], folder)


def once(kind: str, served: Gateway, job: Job, scratch: Path) -> Took:
    """Have somebody do a job in a folder of its own."""
    with tempfile.TemporaryDirectory(dir=scratch) as name:
        folder = Path(name)
        took = batchgen(folder, served, job) if kind == "batchgen" else reference(kind, folder, served, job)
        if took.code or took.files != job.images:
            log = (folder / "log.txt").read_text(encoding="utf-8", errors="replace")[-600:]
            raise SystemExit(f"{kind} ended with {took.code} and {took.files} of {job.images} images:\n{log}")
        return took


def ideal(latencies: Sequence[float], at_once: int) -> float:
    """Return the least seconds in which these answers can come, so many at once, in the order in which they came."""
    places = [0.0] * min(at_once, len(latencies))
    for latency in latencies:
        heapq.heapreplace(places, places[0] + latency)
    return max(places)


def medians(rounds: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the median of each name over the rounds."""
    return {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}


def interleaved(
    kinds: Sequence[str], rounds: int, one: Callable[[str, int], dict[str, float]]
) -> Iterator[tuple[str, list[dict[str, float]]]]:
    """Measure each kind once a round, in an order that rotates; give all rounds of each."""
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    for number in range(rounds):
        turn = number % len(kinds)
        for kind in (*kinds[turn:], *kinds[:turn]):
            found[kind].append(one(kind, number))
            said = "  ".join(f"{name} {value:.4g}" for name, value in found[kind][-1].items())
            print(f"  round {number + 1} {kind:9} {said}", flush=True)
    yield from found.items()
