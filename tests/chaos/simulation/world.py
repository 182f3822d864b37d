"""What outlives a process: the disk, the ledger's file, the gateway, the time, and the trace of it all."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256
from pathlib import Path

from batchgen.contracts.catalog import load_catalog
from batchgen.contracts.contract import Contract
from batchgen.contracts.tokens import PerCall
from batchgen.domain.job import FourK, Limits
from batchgen.domain.size import parse_size
from batchgen.policy.decide import paid_retries
from tests.chaos.simulation.disk import FAILURES, Disk, failure
from tests.chaos.simulation.gateway import HOLLOW, PRICES, Gateway
from tests.chaos.simulation.loop import START, Crash
from tests.support.ledger import SmallPlan, empty_ledger

HOME, FALLBACK = PRICES
KEYS = ("ONE", "TWO", "THREE")
USERS_FILE = b"a photo of my own"
_DISK = ("create", "make folder", "remove", "rename", "link", "sync file", "sync folder")


@dataclass
class Fate:
    """How one life ends, if not by itself: by a step of it, or by a moment.

    Attributes:
        kind: `crash`, `crash at`, `disk`, `drain`, `abort`, `full` or "".
        power: whether what was not synced may be lost with it.
    """

    kind: str = ""
    at: float = 0.0
    power: bool = False
    code: int = 0
    forever: bool = False


class Violation(Crash):
    """Something that must never be. It ends the process at once, wherever it is noticed."""


def fingerprint(key: str) -> str:
    """Return what the books know a key by."""
    return sha256(key.encode()).hexdigest()[:8]


@cache
def contracts(keys: tuple[str, ...]) -> tuple[Contract, ...]:
    """The two routes, each with its own price, with these keys; those of the first have limits of their own."""
    found = [load_catalog().find(route) for route in PRICES]
    changes = {"base_url": "https://gateway.example/v1", "keys": keys}
    return tuple(
        replace(contract, price=PerCall(PRICES[contract.route], "2026-11-21"), **changes)  # type: ignore[arg-type]
        for contract in found
    )


@dataclass
class World:
    """One seed's world."""

    seed: int
    folder: Path
    jumped: float = 0.0
    ever_jumped: bool = False
    steps: int = 0
    fate: Fate = field(default_factory=Fate)
    durable: set[int] = field(default_factory=set)
    trace: list[tuple[object, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._time: Callable[[], float] = float
        self.dice = random.Random(self.seed)
        dice = self.dice
        self.database, self.output = self.folder / "ledger.db", self.folder / "out"
        self.output.mkdir()
        self.disk = Disk(self.output, self.folder / "graves")
        self.disk.step = self.step
        self.spill = dice.choice((256 * 1024, 600))
        self.limits = Limits(
            concurrency=dice.randint(1, 8),
            rate=dice.choice((None, None, 0.5, 5.0)),
            attempts=dice.randint(1, 4),
            unknown=dice.randint(0, 2),
            unknown_total=dice.choice((None, 3)),
            budget=dice.choice((None, None, None, dice.randint(3, 60) * 10_000)),
        )
        self.four_k = dice.choice((FourK.RETRY, FourK.DOWNGRADE, FourK.FAIL))
        self.on_refusal = dice.random() < 0.3
        self.routes = dice.choice((1, 2, 2))
        self.keys = KEYS[: random.Random(self.seed + 2).choice((1, 1, 2, 3))]
        sizes = tuple(parse_size(size) for size in dice.choice((("1:1@1K",), ("16:9@4K", "1:1@1K"))))
        keys = [f"p{number}" for number in range(dice.randint(3, 10))]
        self.plan = SmallPlan({key: f"photo of {key}" for key in keys}, sizes=sizes, limits=self.limits, samples=1)
        self.gateway = Gateway(
            random.Random(self.seed + 1),
            self.step,
            self.before_a_call,
            lambda: START + self.elapsed,
            rate=dice.choice((0.0, 0.2, 0.5)),
            urls=dice.choice((0.0, 0.4, 1.0)),
        )
        empty_ledger(self.database)
        self._client = sqlite3.connect(self.database)
        self.users = self._users_file(f"p0/{sizes[0]}-1.png") if dice.random() < 0.3 else None

    def close(self) -> None:
        """Let go of the ledger."""
        self._client.close()

    @property
    def elapsed(self) -> float:
        """Virtual seconds since the beginning of the world."""
        return self._time()

    @property
    def dead(self) -> bool:
        """Whether no process is there at present."""
        return self.disk.dead

    def begin(self, time: Callable[[], float]) -> None:
        """A life begins, with its own clock."""
        self._time = time

    def rest(self, until: float) -> None:
        """Nobody is there; the next life begins then."""
        self._time = lambda: until

    @property
    def note(self) -> str:
        """The trace in 16 digits."""
        return sha256(repr(self.trace).encode()).hexdigest()[:16]

    def say(self, what: str) -> None:
        """Into the trace, without what differs from one process to the next."""
        self.trace.append((self.steps, round(self.elapsed, 6), what.replace(str(self.folder), "")))

    def step(self, what: str) -> None:
        """One thing happens; perhaps it is the last, or fails."""
        self.steps += 1
        self.say(what)
        fate = self.fate
        if fate.kind == "crash" and self.steps >= fate.at:
            self.disk.dead = True
            raise Crash
        if fate.kind == "disk" and self.steps >= fate.at and what in _DISK:
            if not fate.forever:
                self.fate = Fate()
            raise failure(fate.code)

    def soon(self) -> float:
        """How long the disk takes."""
        return self.dice.choice((0.0002, 0.0002, 0.004, 0.3))

    def draw_fate(self) -> Fate:
        """How the next life shall end."""
        dice = self.dice
        kind = dice.choice((*["crash"] * 6, *["crash at"] * 2, "disk", "drain", "abort", "full"))
        if kind in {"crash", "disk"}:
            at = float(self.steps + dice.choice((dice.randint(1, 40), dice.randint(20, 150))))
        else:
            at = self.elapsed + dice.choice((dice.uniform(0.0, 2.0), dice.uniform(0.0, 300.0)))
        return Fate(kind, at, dice.random() < 0.7, dice.choice(FAILURES), dice.random() < 0.5)

    def ask(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        """What a plain SQLite client sees: commits, and nothing else."""
        return self._client.execute(sql, values).fetchall()

    def before_a_call(self, attempt: int, key: str) -> tuple[int, str]:
        """Whatever reaches the gateway is in the books with its key, and is not paid and in hand already."""
        found = self.ask("SELECT task_id, route, charge, key_fingerprint FROM attempt WHERE id = ?", attempt)
        if not found or found[0][2:] != ("reserved", fingerprint(key)):
            raise Violation(f"attempt {attempt} was sent with the key {key}, but the books have it as {found}")
        task, route = int(str(found[0][0])), str(found[0][1])
        hollow = 0
        for line in self.gateway.bill:
            mine = line.task == task and line.attempt in self.durable
            if line.attempt == attempt or (mine and line.fault in {"", "unread"}):
                raise Violation(f"attempt {attempt} buys task {task} again, which {line} has brought")
            hollow += mine and line.fault in HOLLOW
        if hollow > max(paid_retries(self.limits, price) for price in PRICES.values()):
            raise Violation(f"attempt {attempt} pays for task {task} after {hollow} answers with nothing in them")
        return task, route

    def committed(self, verbs: list[str]) -> None:
        """A commit is on disk: the budget must hold in it."""
        if self.limits.budget is not None:
            for (spent,) in self.ask("SELECT billed + unknown + reserved FROM job"):
                if int(str(spent)) > self.limits.budget:
                    raise Violation(f"{spent} is over the budget of {self.limits.budget}")
        self.step("committed")

    def landed(self, attempt: int) -> None:
        """An answer's receipt is durable."""
        self.durable.add(attempt)
        self.step("landed")

    def _users_file(self, name: str) -> Path:
        """A file of the user's own where the first image would go."""
        path = self.output / name
        path.parent.mkdir()
        path.write_bytes(USERS_FILE)
        self.disk.keep(path)
        return path
