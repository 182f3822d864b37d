"""A shop's folder and the `batchgen` command in it, as a person has them: subprocesses, files, exit codes."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from batchgen.simulator.bill import Bill, BillLine
from tests.support import warm

KEY = "sk-canary-5f2d8c"


@dataclass
class Shop:
    """A folder with manifests, and everything the command writes there.

    Attributes:
        pace: how many times as fast the clock of its commands is, where they start warm: for those that wait long.
        gateway: the process that serves it, while there is one.
    """

    folder: Path
    base_url: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    pace: float = field(default=1.0, kw_only=True)
    gateway: subprocess.Popen[Any] | None = field(default=None, kw_only=True)

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "batchgen", *words]

    def env(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
        return {**kept, "SHOP_KEY": KEY, "COLUMNS": "200", **self.environment}

    def run(self, *words: str, code: int | None = 0, stdin: str = "") -> subprocess.CompletedProcess[str]:
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        with self.popen(*words, **pipes, text=True, errors="replace") as process:
            try:
                said, complained = process.communicate(stdin, timeout=280)
            except BaseException:
                process.kill()
                raise
        done = subprocess.CompletedProcess(words, process.returncode, said, complained)
        if code is not None:
            assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def popen(self, *words: str, **streams: Any) -> subprocess.Popen[Any]:
        """The command begun, warm where that makes no difference."""
        environment = self.env()
        if warm.possible(environment):
            return warm.popen(list(words), self.folder, environment, self.pace, **streams)
        return subprocess.Popen(self.command(*words), cwd=self.folder, env=environment, **streams)

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """The command begun in the background: to be killed or interrupted."""
        return self.popen(*words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json").stdout)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def manifest(self, text: str, *, name: str = "job.yaml", route: str = "") -> str:
        """A manifest whose route is the simulator; the rest is given."""
        use = route or f'{{use: apiyi/gpt-image-2-vip, base_url: "{self.base_url}", key_env: SHOP_KEY}}'
        self.write(name, f"version: 1\nname: job\nroute: {use}\n{text}")
        return name

    def catalog(self, rows: int, name: str = "products.csv", first: int = 1) -> None:
        lines = ["sku,name"] + [f"SKU-{number:04d},thing {number}" for number in range(first, first + rows)]
        self.write(name, "\n".join(lines) + "\n")

    def query(self, sql: str, db: str = "batchgen.db") -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self.folder / db)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def query_or_nothing(self, sql: str) -> list[tuple[Any, ...]]:
        """The same while the ledger may not be there yet."""
        try:
            return self.query(sql) if (self.folder / "batchgen.db").exists() else []
        except sqlite3.OperationalError:
            return []

    def states(self, db: str = "batchgen.db") -> dict[str, int]:
        return dict(self.query("SELECT state, count(*) FROM task WHERE wanted = 1 GROUP BY state", db))

    def bill(self, path: str = "simulator/bill.jsonl") -> list[BillLine]:
        file = self.folder / path
        return list(Bill.lines(file)) if file.exists() else []

    def images(self, below: str = "out") -> list[Path]:
        return sorted(path for path in (self.folder / below).rglob("*.png") if ".batchgen" not in path.parts)


@contextmanager
def gateway(shop: Shop, *faults: str, route: str = "apiyi/gpt-image-2-vip") -> Iterator[Shop]:
    """`batchgen simulate` beside the shop, for as long as the block lasts."""
    words = [word for fault in ("pictures=plain", *faults) for word in ("--fault", fault)]
    process = shop.popen(
        *("simulate", route, "--speed", "100000", *words),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    shop.gateway = process
    try:
        shop.base_url = process.stdout.readline().strip()
        assert shop.base_url.endswith("/v1")
        yield shop
    finally:
        shop.gateway = None
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        process.stdout.close()


@contextmanager
def frozen(process: subprocess.Popen[Any]) -> Iterator[None]:
    """While it lasts, the process does nothing at all."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def wait_until(process: subprocess.Popen[Any], ready: Callable[[], bool]) -> None:
    """Until what a process does is seen from outside; it must not end before."""
    while not ready():
        assert process.poll() is None, "the run ended too soon"
        time.sleep(0.004)  # looking takes the time that the run itself is in need of
