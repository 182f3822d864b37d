"""A shop whose process is going to be hurt, and the books that must hold afterwards.

Several sites may share one gateway: each has a key of its own, by which its lines of the gateway's log are known.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from PIL import Image

from batchgen.cli.main import cli
from batchgen.simulator.bill import Bill, BillLine
from tests.chaos import child
from tests.support import warm
from tests.support.shop import Shop

HOOK, HOOKED = Path(__file__).parent / "hook", "CHAOS_HOOK"
LONG = os.environ.get("CHAOS") == "long"
PRICE = 30_000
PROMPT = "Photo of thing {}"
JOB = """
prompts:
  - from: products.csv
    id: "{{{{ sku }}}}"
    text: "Photo of {{{{ name }}}}"
sizes: ["1:1@1K"]
limits: {{{limits}}}
"""
LIFTED = "concurrency: 20, unknown: 60, attempts: 60, unknown_total: 100000, budget: 10000.00"


@dataclass(frozen=True)
class Books:
    """What was bought, by the gateway's log and by the ledger; money in micro-dollars."""

    calls: int
    attempts: int
    charged: int
    billed: int
    unknown: int
    unknowns: int


@dataclass
class Site(Shop):
    """A folder with one job in it.

    Attributes:
        log: the gateway's own, shared with other sites.
        key: known to no other site.
        prefix: words before the command, such as those of a shell.
        tracer: words of a `strace` that sees what the command does.
        without: what the command gives up before it begins, as `child.py` has it.
        latency: of the gateway at most, in seconds.
    """

    log: Path = Path()
    key: str = ""
    tasks: int = 0
    prefix: list[str] = field(default_factory=list)
    tracer: list[str] = field(default_factory=list)
    without: tuple[str, ...] = ()
    latency: float = 0.3

    @classmethod
    def of(cls, gateway: Shop, name: str, tasks: int, limits: str = LIFTED, more: str = "") -> Site:
        """A new site beside a gateway, with a job of so many images."""
        site = cls(gateway.folder / name, gateway.base_url, log=gateway.folder / "simulator" / "bill.jsonl")
        site.key, site.tasks = f"sk-{sha256(str(site.folder).encode()).hexdigest()[:20]}", tasks
        site.folder.mkdir()
        site.write_job(limits, more)
        return site

    @property
    def spool(self) -> Path:
        return self.folder / "out" / "job" / ".batchgen"

    def write_job(self, limits: str = LIFTED, more: str = "") -> None:
        self.catalog(self.tasks)
        self.manifest(JOB.format(limits=limits) + more)

    def command(self, *words: str) -> list[str]:
        less = [sys.executable, child.__file__, *self.without, "--"] if self.without else []
        return [*self.prefix, *less, *self.tracer, *super().command(*words)]

    def popen(self, *words: str, **streams: Any) -> subprocess.Popen[Any]:
        environment = self.env()
        if self.prefix or not warm.possible(environment):
            paths = os.pathsep.join([str(HOOK), *filter(None, [environment.get("PYTHONPATH")])])
            hook = {"PYTHONPATH": paths} if HOOKED in environment else {}
            return subprocess.Popen(self.command(*words), cwd=self.folder, env=environment | hook, **streams)
        first = [(child.__name__, child.give_up.__name__, what) for what in self.without]
        if HOOKED in environment:
            first.append(("tests.chaos.hook.sitecustomize", "put_in"))
        return warm.popen(list(words), self.folder, environment, self.pace, first=first, tracer=self.tracer, **streams)

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        with (self.folder / "said").open("wb") as said:
            return self.popen(*words, stdin=subprocess.DEVNULL, stdout=said, stderr=said)

    @property
    def said(self) -> str:
        """The end of what the last run in the background said."""
        return (self.folder / "said").read_text(encoding="utf-8", errors="replace")[-1500:]

    def env(self) -> dict[str, str]:
        return {**super().env(), "SHOP_KEY": self.key, **self.environment}

    def bill(self, path: str = "") -> list[BillLine]:
        known = sha256(self.key.encode()).hexdigest()[:8]
        return [line for line in Bill.lines(self.log) if line.key == known] if self.log.exists() else []

    def query(self, sql: str, db: str = "batchgen.db") -> list[tuple[Any, ...]]:
        """Ask as a stranger would: a reader that never writes, nor tidies the log of a dead writer away."""
        connection = sqlite3.connect(f"file:{self.folder / db}?mode=ro", uri=True)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def attempts(self) -> int:
        rows = self.query_or_nothing("SELECT count(*) FROM attempt")
        return int(rows[0][0]) if rows else 0

    def unanswered(self) -> list[int]:
        """Attempts that a dead process left with neither a booking nor a receipt: what may be bought twice."""
        reserved = self.query_or_nothing("SELECT id FROM attempt WHERE charge = 'reserved'")
        return [attempt for (attempt,) in reserved if not (self.spool / f"{attempt}.json").exists()]

    def receipts(self) -> int:
        """Answers that are whole in the spool."""
        return len(list(self.spool.glob("[0-9]*.json")))

    def wait_for_attempts(self, process: subprocess.Popen[bytes], more_than: int, within: float = 90.0) -> bool:
        """Until the ledger has more attempts than that; False when the process ended before."""
        end = time.monotonic() + within
        while self.attempts() <= more_than:
            if process.poll() is not None:
                return self.attempts() > more_than
            assert time.monotonic() < end, f"no call was made: {self.said}"
            time.sleep(0.004)
        return True

    def kill(self, process: subprocess.Popen[bytes]) -> bool:
        """kill -9; whether it was still alive."""
        process.send_signal(signal.SIGKILL)
        process.wait()
        return process.returncode == -signal.SIGKILL

    def finish(self, code: int = 0) -> str:
        """The next run, unharmed; what it said."""
        done = self.run("run", "job.yaml", code=code)
        return done.stdout + done.stderr

    def settle_log(self) -> None:
        """Wait for the calls that the gateway still works on though nobody waits for them: they are charged too."""
        if len(self.bill()) < self.attempts():
            time.sleep(self.latency)

    def check(self) -> Books:
        """All images are there and whole, every call of the gateway was written down first, and the sums agree."""
        assert self.states() == {"completed": self.tasks}
        images = self.images()
        assert len(images) == self.tasks
        for path in images:
            with Image.open(path) as image:
                image.load()
        verified = CliRunner().invoke(cli, ["verify", "--db", str(self.folder / "batchgen.db")])
        assert verified.exit_code == 0, verified.output
        books = self.check_money()
        assert not list(self.spool.glob("[0-9]*")), "the spool is not empty"
        return books

    def check_money(self) -> Books:
        """The gateway's log within the ledger, call by call, and its charges between billed and billed + unknown."""
        self.settle_log()
        lines = self.bill()
        self._check_written_down(lines)
        billed, unknown, reserved = self.query("SELECT billed, unknown, reserved FROM job")[0]
        charged = sum(line.charged for line in lines)
        assert reserved == 0
        assert billed <= charged <= billed + unknown, (billed, charged, unknown)
        unknowns = self.query("SELECT count(*) FROM attempt WHERE charge = 'unknown'")[0][0]
        assert self.query("PRAGMA integrity_check") == [("ok",)]
        return Books(len(lines), self.attempts(), charged, billed, unknown, unknowns)

    def _check_written_down(self, lines: list[BillLine]) -> None:
        """For each call at the gateway an attempt of its task that was reserved before it, and a known id once."""
        reserved: dict[str, list[float]] = defaultdict(list)
        for text, at in self.query(
            "SELECT prompt.text, attempt.reserved_at FROM attempt JOIN task ON task.id = attempt.task_id "
            "JOIN prompt ON prompt.id = task.prompt_id ORDER BY attempt.id"
        ):
            reserved[sha256(text.encode()).hexdigest()].append(at)
        calls: Counter[str] = Counter()
        for line in sorted(lines, key=lambda line: line.time - line.seconds):
            before = reserved[line.prompt]
            assert calls[line.prompt] < len(before), "a call that the ledger does not know"
            assert before[calls[line.prompt]] <= line.time, "a call before its reservation"
            calls[line.prompt] += 1
        ids = " ".join(text for (text,) in self.query("SELECT request_ids FROM attempt"))
        heard = sum(line.request_id in ids for line in lines)
        answered = self.query("SELECT count(*) FROM attempt WHERE status > 0")[0][0]
        assert heard == answered, "the ledger names an answer that the gateway never gave"


@contextmanager
def running(site: Site, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """`batchgen run` in the background; dead when the block ends, however it ends."""
    process = site.start("run", "job.yaml", *words)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
