"""Small plans and the values of one attempt, for tests of the books."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

from batchgen.domain.clock import SystemClock
from batchgen.domain.inputs import InputFile
from batchgen.domain.job import FourK, JobSpec, Limits, Parameters, Prompt, Variant
from batchgen.domain.lifecycle import Charge, TaskEvent
from batchgen.domain.model import Booking, Claim, OutcomeKind, Reservation, Settlement
from batchgen.domain.output_image import Image
from batchgen.domain.size import Size
from batchgen.domain.walls import Wall
from batchgen.ledger.ledger import Ledger

SMALL, LARGE = Size(1280, 1280), Size(2048, 2048)
PRICE = 30_000


def number(*parts: object) -> int:
    """63 bits of a hash."""
    return int.from_bytes(blake2b(repr(parts).encode(), digest_size=8).digest()) >> 1


@dataclass
class SmallPlan:
    """A plan of some prompts, each in every size and sample.

    Attributes:
        texts: prompt texts by key.
        overrides: JSON by key.
        sets: sizes by key, for prompts that do not take all.
    """

    texts: Mapping[str, str]
    sizes: tuple[Size, ...] = (SMALL,)
    samples: int = 1
    overrides: Mapping[str, str] = field(default_factory=dict)
    sets: Mapping[str, tuple[Size, ...]] = field(default_factory=dict)
    parameters: Parameters = field(default_factory=Parameters)
    limits: Limits = field(default_factory=Limits)
    name: str = "spring"
    path: str = "{size}-{sample}"
    read: int = 0

    @property
    def job(self) -> JobSpec:
        source = repr((self.texts, self.sizes, self.samples, self.overrides, self.sets, self.parameters, self.path))
        return JobSpec(
            self.name,
            "apiyi/gpt-image-2-vip",
            "gpt-image-2-vip",
            Path("/jobs/spring.yaml"),
            Path("/out/spring"),
            self.parameters,
            self.limits,
            four_k=FourK.DOWNGRADE,
            source_hash=source,
        )

    @property
    def variants(self) -> tuple[Variant, ...]:
        pairs = [(size, sample) for size in self.sizes for sample in range(1, self.samples + 1)]
        return tuple(Variant(place, size, sample) for place, (size, sample) in enumerate(pairs))

    @property
    def variant_sets(self) -> tuple[tuple[int, ...], ...]:
        return tuple(
            tuple(variant.number for variant in self.variants if variant.size in self.sets.get(key, self.sizes))
            for key in self.texts
        )

    def files(self) -> Iterator[InputFile]:
        return iter(())

    def unchanged(self, files: Iterable[InputFile]) -> bool:
        return not list(files)

    def prompts(self) -> Iterator[Prompt]:
        self.read += 1
        for place, (key, text) in enumerate(self.texts.items()):
            override = self.overrides.get(key, "")
            own, shared = number(text, override), number(self.parameters)
            yield Prompt(place, key, text, f"{key}/{self.path}", override, own, shared, place)


def plan(*keys: str, **others: Any) -> SmallPlan:
    """A plan of prompts whose texts are made of their keys."""
    return SmallPlan({key: f"a photo of {key}" for key in keys}, **others)


def reservation(claim: Claim, *, reserved: int = PRICE, budget: int | None = None, **others: Any) -> Reservation:
    """An attempt at a claim."""
    facts: dict[str, Any] = {
        "task": claim.task,
        "job": claim.job,
        "revision": claim.revision,
        "provider": "apiyi",
        "route": "apiyi/gpt-image-2-vip",
        "group": "",
        "model": "gpt-image-2-vip",
        "endpoint": "images",
        "base_url": "https://api.example.com/v1",
        "size_asked": str(claim.size),
        "size_sent": str(claim.send_size),
        "quality": claim.parameters.quality or "",
        "request_hash": "a" * 64,
        "estimated": reserved,
        "reserved": reserved,
        "price_basis": "per_call 2026-07",
        "billing_unit": "call",
        "key_fingerprint": "0badcafe",
        "reserved_at": 100.0,
        "queued_for": 0.5,
        "budget": budget,
    }
    return Reservation(**facts | others)


def booking(attempt: int, charge: Charge = Charge.BILLED, billed: int | None = None, **others: Any) -> Booking:
    """What an attempt cost; for a bill the price, unless told."""
    kinds = {
        Charge.BILLED: OutcomeKind.DELIVERED,
        Charge.VOID: OutcomeKind.SERVER_ERROR,
        Charge.UNKNOWN: OutcomeKind.LOST,
    }
    facts: dict[str, Any] = {
        "attempt": attempt,
        "charge": charge,
        "billed": (PRICE if charge is Charge.BILLED else 0) if billed is None else billed,
        "kind": kinds.get(charge, OutcomeKind.LOST),
        "detail": "",
        "status": 200 if charge is Charge.BILLED else 0,
    }
    return Booking(**facts | others)


def completion(claim: Claim, attempt: int, **others: Any) -> Settlement:
    """The image of a claim is there."""
    image = Image(claim.path + ".png", "b" * 64, 12_345, 1280, 1280, "png")
    return Settlement(claim.task, attempt, TaskEvent.COMPLETE, image=image, **others)


async def deliver(ledger: Ledger, *claims: Claim, **others: Any) -> None:
    """Buy some claims with nothing going wrong."""
    for claim in claims:
        attempt = await ledger.reserve(reservation(claim, **others))
        assert not isinstance(attempt, Wall)
        await ledger.book_and_settle(booking(attempt), completion(claim, attempt))


async def end(
    ledger: Ledger, claim: Claim, event: TaskEvent, charge: Charge = Charge.VOID, run: int | None = None, **others: Any
) -> int:
    """One attempt at a claim that ends without an image."""
    attempt = await ledger.reserve(reservation(claim, run=run))
    assert not isinstance(attempt, Wall)
    await ledger.book_and_settle(booking(attempt, charge), Settlement(claim.task, attempt, event, **others))
    return attempt


@cache
def _empty() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        Ledger.open(path, SystemClock()).close()
        return path.read_bytes()


def empty_ledger(path: Path) -> Path:
    """A ledger without jobs, made once and copied: making one takes longer than most of what is tried on it.

    All copies have one `Ledger.name`.
    """
    path.write_bytes(_empty())
    path.chmod(0o600)
    return path


def query(path: Path, sql: str) -> list[tuple[Any, ...]]:
    """What a plain SQLite client sees."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def spoil(path: Path, *statements: str) -> None:
    """Change a ledger behind its back, as a fault or a clumsy hand would."""
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    finally:
        connection.close()
