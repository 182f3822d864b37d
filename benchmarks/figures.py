"""Each figure of `docs/performance.md`: what is asked, of whom, and what is told of it."""

from __future__ import annotations

import sqlite3
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.running import REFERENCES, Gateway, Job, Table, Took, batchgen, ideal, interleaved, medians, once, run

_ALL = ("naive", *REFERENCES[1:], "batchgen")


@dataclass(frozen=True)
class Bench:
    """What every figure is taken with.

    Attributes:
        share: of the full numbers of images; 1.0 for the figures of the page.
        scratch: where folders of runs are made.
    """

    served: Gateway
    rounds: int
    share: float
    scratch: Path

    def images(self, count: int) -> int:
        """Return how many images are asked for where a full run asks for so many."""
        return max(2, round(count * self.share))


def throughput(bench: Bench) -> Table:
    """Tasks per second and CPU per task where the gateway answers at once: marginal, a run of one image taken off."""
    images, at_once = bench.images(10_000), 64

    def one(kind: str, _round: int) -> dict[str, float]:
        bench.served.set()
        first = once(kind, bench.served, Job(1, at_once), bench.scratch)
        bench.served.set()
        took = once(kind, bench.served, Job(images, at_once), bench.scratch)
        cpu = (took.cpu - first.cpu) / (images - 1)
        return {"rate": (images - 1) / (took.wall - first.wall), "cpu": cpu * 1e6, "start": first.wall}

    found = dict(interleaved(_ALL, bench.rounds, one))
    rows = []
    for kind, rounds in found.items():
        pairs = [
            {"rate": mine["rate"] / naive["rate"], "cpu": mine["cpu"] / naive["cpu"]}
            for mine, naive in zip(rounds, found["naive"], strict=True)
        ]
        mine, ratio = medians(rounds), medians(pairs)
        rows.append(
            (kind, f"{mine['rate']:,.0f}", f"{ratio['rate']:.2f}", f"{mine['cpu']:,.0f}", f"{ratio['cpu']:.1f}")
        )
    return Table(
        "throughput",
        f"{images:,} pictures of 1 KB, {at_once} at once, answered at once; start-up taken off; medians of "
        f"{bench.rounds} rounds, ratios within a round.",
        ("", "tasks/s", "of naive", "CPU µs a task", "of naive"),
        tuple(rows),
    )


def makespan(bench: Bench) -> Table:
    """How near the time between the first call and the last answer comes to the least possible."""
    images, at_once = bench.images(2_000), max(2, round(500 * min(1.0, bench.share)))

    def one(kind: str, number: int) -> dict[str, float]:
        bench.served.set(latency=1.0, sigma=0.4, seed=number + 1)
        took = once(kind, bench.served, Job(images, at_once), bench.scratch)
        stats = bench.served.stats()
        least = ideal(stats["latencies"], at_once)
        return {
            "span": least / (stats["last"] - stats["first"]),
            "wall": least / took.wall,
            "most": stats["most_in_flight"],
        }

    rows = []
    for kind, rounds in interleaved(_ALL, bench.rounds, one):
        mine = medians(rounds)
        rows.append((kind, f"{mine['span']:.3f}", f"{mine['wall']:.3f}", f"{mine['most']:.0f}"))
    return Table(
        "makespan",
        f"{images:,} answers of a second (lognormal, sigma 0.4), {at_once} at once: the least time by the latencies "
        "that were drawn, over the time from the first call to the last answer, and over that of the whole process.",
        ("", "ideal / span", "ideal / wall", "most in flight"),
        tuple(rows),
    )


def big(bench: Bench) -> Table:
    """Bytes per second and memory where an answer is 12.6 MB of base64."""
    size = 9_437_184

    def one(kind: str, _round: int) -> dict[str, float]:
        name, _, most = kind.partition("@")
        at_once = int(most)
        images = bench.images(2 * at_once)
        bench.served.set(size=size)
        took = once(name, bench.served, Job(images, at_once), bench.scratch)
        return {"rate": images * size * 4 / 3 / took.wall / 1e6, "memory": took.memory / 1e6}

    kinds = ("naive@32", "sdk@32", "batchgen@32", "batchgen@256")
    rows = []
    for kind, rounds in interleaved(kinds, bench.rounds, one):
        mine = medians(rounds)
        rows.append((kind.replace("@", ", "), f"{mine['rate']:,.0f}", f"{mine['memory']:,.0f}"))
    return Table(
        "big",
        "Answers of 12.6 MB of base64, twice as many as are in flight: megabytes of base64 a second by the whole "
        "process, and the most memory it had.",
        ("who, calls at once", "MB/s", "MB of memory"),
        tuple(rows),
    )


@dataclass(frozen=True)
class _Limit:
    """A gateway with a limit, and what a run asks of it.

    Attributes:
        asks: what the manifest says of limits.
        allowed: seconds in which so many calls are allowed.
    """

    name: str
    options: dict[str, float]
    job: Job
    allowed: Callable[[int], float]
    nights: int = 1


_TWO = "keys: [BENCH_KEY, BENCH_KEY_2], limits_per: key"
_LIMITS = (
    _Limit(
        "50/s, burst 50, untold", {"rate": 50, "burst": 50, "latency": 0.2}, Job(1_000, 64), lambda n: (n - 50) / 50, 2
    ),
    _Limit("50/s, one by one, untold", {"rate": 50, "latency": 0.2}, Job(2_000, 500), lambda n: n / 50, 2),
    _Limit("30 in flight, untold", {"cap": 30, "latency": 1.0}, Job(1_000, 500), lambda n: n / 30, 2),
    _Limit(
        "50/s, burst 50, told",
        {"rate": 50, "burst": 50, "latency": 0.2},
        Job(1_000, 64, ", rate: 50/s, burst: 50"),
        lambda n: (n - 50) / 50,
    ),
    _Limit("50/s, one by one, told", {"rate": 50, "latency": 0.2}, Job(1_000, 64, ", rate: 50/s"), lambda n: n / 50),
    _Limit("30 in flight and key, two keys", {"cap": 30, "latency": 1.0}, Job(1_000, 500, keys=_TWO), lambda n: n / 60),
)


def limits(bench: Bench) -> Table:
    """How much of what a gateway allows is taken, and how often it must refuse, the first night and the second."""
    nights: dict[str, list[dict[str, float]]] = {}
    for number in range(bench.rounds):
        for limit in _LIMITS:
            with tempfile.TemporaryDirectory(dir=bench.scratch) as name:
                for night in range(limit.nights):
                    said = f"{limit.name}{', second night' if night else ''}"
                    nights.setdefault(said, []).append(_night(bench, limit, Path(name), night))
                    values = "  ".join(f"{key} {value:.3f}" for key, value in nights[said][-1].items())
                    print(f"  round {number + 1} {said}: {values}", flush=True)
    rows = (
        (name, f"{(mine := medians(rounds))['taken']:.3f}", f"{mine['refused']:.3f}") for name, rounds in nights.items()
    )
    return Table(
        "limits",
        "A gateway with a limit that it tells nobody, or that the manifest names: the least time in which it allows so "
        "many calls, over the time that they took; and refusals a task.",
        ("limit", "taken of what is allowed", "429s a task"),
        tuple(rows),
    )


def _night(bench: Bench, limit: _Limit, folder: Path, night: int) -> dict[str, float]:
    job = Job(bench.images(limit.job.images), limit.job.at_once, limit.job.limits, limit.job.keys, f"night{night}")
    bench.served.set(**limit.options)
    took = batchgen(folder, bench.served, job)
    stats = bench.served.stats()
    if took.code:
        raise SystemExit(f"{limit.name}: ended with {took.code}: {(folder / 'log.txt').read_text()[-600:]}")
    span = stats["last"] - stats["first"]
    return {"taken": limit.allowed(job.images) / span, "refused": stats["refused"] / job.images}


def outage(bench: Bench) -> Table:
    """What an outage in the middle of a run costs: tasks that failed, calls into it, and when it goes on."""
    images, lasts = bench.images(600), 60.0

    def one(_kind: str, number: int) -> dict[str, float]:
        bench.served.set(latency=1.0, sigma=0.4, seed=number + 1, down_from=5.0, down_for=lasts, down_after=0.2)
        with tempfile.TemporaryDirectory(dir=bench.scratch) as name:
            folder = Path(name)
            took = batchgen(folder, bench.served, Job(images, 30))
            with sqlite3.connect(folder / "batchgen.db") as ledger:
                failed = ledger.execute("SELECT count(*) FROM task WHERE work = 'failed'").fetchone()[0]
        return {"failed": failed, "calls": bench.served.stats()["errors"], "code": took.code, "wall": took.wall}

    ((_, rounds),) = interleaved(("batchgen",), bench.rounds, one)
    mine = medians(rounds)
    return Table(
        "outage",
        f"{images} images of a second, 30 at once; after five seconds all are answered with 500 for {lasts:.0f} s.",
        ("tasks that failed", "calls into it", "seconds in all", "exit code"),
        ((f"{mine['failed']:.0f}", f"{mine['calls']:.0f}", f"{mine['wall']:.0f}", f"{mine['code']:.0f}"),),
    )


def startup(bench: Bench) -> Table:
    """How long commands take that do nothing."""
    commands = {
        "python -c pass": ["-c", "pass"],
        "python -c 'import aiohttp'": ["-c", "import aiohttp"],
        "python -c 'import openai'": ["-c", "import openai"],
        "the help of batchgen": ["-m", "batchgen", "--help"],
        "the help of batchgen run": ["-m", "batchgen", "run", "--help"],
    }

    def one(kind: str, _round: int) -> dict[str, float]:
        with tempfile.TemporaryDirectory(dir=bench.scratch) as name:
            return {"wall": run([sys.executable, *commands[kind]], Path(name)).wall * 1000}

    found = dict(interleaved(tuple(commands), max(5, bench.rounds), one))
    bare = found["python -c pass"]
    rows = []
    for kind, rounds in found.items():
        ratio = medians([{"wall": mine["wall"] / of["wall"]} for mine, of in zip(rounds, bare, strict=True)])
        rows.append((kind, f"{medians(rounds)['wall']:.0f}", f"{ratio['wall']:.1f}"))
    return Table("startup", "Wall time of whole processes.", ("command", "ms", "of bare Python"), tuple(rows))


def tasks(bench: Bench) -> Table:
    """What a plan costs by the number of its tasks: read, compared with an empty ledger, and written into it."""
    rows = []
    for count in (10_000, 100_000, bench.images(1_000_000)):
        with tempfile.TemporaryDirectory(dir=bench.scratch) as name:
            folder = Path(name)
            bench.served.set()
            planned = _planned(folder, bench.served, count, "plan")
            bought = _planned(folder, bench.served, count, "run", "--yes", "--limit", "1")
            size = (folder / "batchgen.db").stat().st_size
        print(
            f"  {count:,}: plan {planned.wall:.1f} s, {planned.memory / 1e6:.0f} MB; run {bought.wall:.1f} s",
            flush=True,
        )
        rows.append(
            (
                f"{count:,}",
                f"{planned.wall:.1f}",
                f"{planned.memory / 1e6:.0f}",
                f"{bought.wall:.1f}",
                f"{bought.memory / 1e6:.0f}",
                f"{size / count:.0f}",
            )
        )
    return Table(
        "tasks",
        "A catalog of so many rows, one image each: `batchgen plan`, then `batchgen run --limit 1`, which writes all "
        "of them into the ledger and buys one.",
        ("tasks", "plan, s", "MB", "run, s", "MB", "bytes of the ledger a task"),
        tuple(rows),
    )


def _planned(folder: Path, served: Gateway, count: int, *words: str) -> Took:
    from benchmarks.running import manifest

    path = manifest(folder, served.base_url, Job(count, 64))
    took = run([sys.executable, "-m", "batchgen", words[0], path.name, *words[1:]], folder)
    if took.code not in {0, 4}:  # 4: --limit is reached
        raise SystemExit(f"{words}: ended with {took.code}: {(folder / 'log.txt').read_text()[-600:]}")
    return took


def memory(bench: Bench) -> Table:
    """Whether memory stays where it is, however many images pass."""
    rows = []
    for count in (1_000, 10_000, bench.images(200_000)):
        bench.served.set()
        took = once("batchgen", bench.served, Job(count, 64), bench.scratch)
        rows.append((f"{count:,}", f"{took.memory / 1e6:.0f}"))
        print(f"  {count:,}: {took.memory / 1e6:.0f} MB", flush=True)
    return Table(
        "memory", "Images of 1 KB, 64 at once, answered at once.", ("images", "most MB of memory"), tuple(rows)
    )


FIGURES = (throughput, makespan, big, limits, outage, startup, tasks, memory)
