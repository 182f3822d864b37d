"""What must be true after every life, and at the end of a world: the gateway's own bill is the witness."""

from __future__ import annotations

import json
from collections import Counter
from hashlib import sha256

from batchgen.domain.lifecycle import Charge
from batchgen.domain.model import Outcome, OutcomeKind
from batchgen.ledger.audit import check
from batchgen.policy.classify import LOST_KINDS
from batchgen.policy.decide import counts
from batchgen.store.layout import INDEX, KEPT, SPOOL, attempt_of
from batchgen.store.spool.receipt import read_receipt
from tests.chaos.simulation.gateway import UNCOUNTED
from tests.chaos.simulation.loop import START
from tests.chaos.simulation.world import USERS_FILE, Violation, World

_SETTLED = {"completed", "failed", "parked"}


def after_life(world: World) -> None:
    """Books that agree with themselves, with the bill and with the files; limits that were kept."""
    if findings := check(world.database):
        raise Violation(f"the books disagree: {findings}")
    _money(world)
    _limits(world)
    _images(world)
    if world.users is not None and world.users.read_bytes() != USERS_FILE:
        raise Violation("the user's own file was overwritten")


def at_the_end(world: World, end: str) -> None:
    """Every task is settled, nothing is set aside, the folder holds the images and nothing else."""
    states = {
        str(state): int(str(number)) for state, number in world.ask("SELECT state, count(*) FROM task GROUP BY 1")
    }
    allowed = _SETTLED if end == "ended" else {*_SETTLED, "available", "retryable"}
    if not set(states) <= allowed:
        raise Violation(f"it ended ({end}) with tasks {states}")
    ((billed, unknown, reserved),) = world.ask("SELECT billed, unknown, reserved FROM job")
    paid = sum(line.charged for line in world.gateway.bill)
    if reserved or not int(str(billed)) <= paid <= int(str(billed)) + int(str(unknown)):
        raise Violation(f"billed {billed}, unknown {unknown}, reserved {reserved}, but the gateway charged {paid}")
    named = {str(path) for (path,) in world.ask("SELECT path FROM image")}
    there = {str(path.relative_to(world.output)) for path in world.output.rglob("*.png") if path != world.users}
    if named != there:
        raise Violation(f"images without a row, or rows without an image: {named ^ there}")
    left = [path.name for path in (world.output / SPOOL).iterdir() if attempt_of(path.name) is not None]
    if left:
        raise Violation(f"the spool still holds {left}")
    _nothing_in_hand_was_lost(world)
    _what_nobody_read_is_kept(world)
    for line in (world.output / INDEX).read_text().splitlines():
        json.loads(line)


def _nothing_in_hand_was_lost(world: World) -> None:
    """An answer whose receipt was durable has become an image; an address only unless it died first."""
    placed = {attempt for (attempt,) in world.ask("SELECT attempt_id FROM image")}
    for line in world.gateway.bill:
        dead = bool(line.url) and (world.ever_jumped or world.elapsed + START >= line.expires)
        if line.attempt in world.durable and line.digest and line.attempt not in placed and not dead:
            raise Violation(f"the answer of {line} was on disk, and is no image now")


def _what_nobody_read_is_kept(world: World) -> None:
    """Whole, with its picture: neither a kill nor a loss of power has taken it."""
    kept = world.output / SPOOL / KEPT
    for attempt in {line.attempt for line in world.gateway.bill if line.fault == "unread"} & world.durable:
        answer = read_receipt((kept / f"{attempt}.json").read_bytes())
        if answer.attempt != attempt or any(not (kept / picture.file).exists() for picture in answer.spare):
            raise Violation(f"the answer of attempt {attempt} is not kept whole")


def _money(world: World) -> None:
    bill = {line.attempt: line for line in world.gateway.bill}
    rows = world.ask("SELECT id, charge, outcome, billed, max(billed, reserved) FROM attempt")
    for attempt, charge, outcome, billed, most in rows:
        line = bill.pop(int(str(attempt)), None)
        charged = line.charged if line is not None else 0
        fine = {
            Charge.BILLED: charged == billed,
            Charge.VOID: charged == 0,
            Charge.UNKNOWN: charged <= int(str(most)),
            Charge.RESERVED: charged <= int(str(most)),
        }
        if line is not None and line.digest and outcome in {"damaged", "cut", "empty"}:
            raise Violation(f"attempt {attempt} brought a whole image, and is called {outcome}")
        if not fine[Charge(str(charge))]:
            raise Violation(f"attempt {attempt} is {charge} with {billed}, but the gateway charged {charged}: {line}")
    if bill:
        raise Violation(f"the books do not know of {bill}")


def _limits(world: World) -> None:
    rows = world.ask("SELECT task_id, outcome, charge FROM attempt WHERE outcome IS NOT NULL")
    found = [(task, Outcome(OutcomeKind(str(kind)), Charge(str(charge)), "")) for task, kind, charge in rows]
    lost = Counter(task for task, outcome in found if outcome.kind in LOST_KINDS)
    spared = any("is down: " in str(what) for *_, what in world.trace)  # errors then are none of a task's attempts
    own = [each for each in found if not (spared and each[1].kind is OutcomeKind.SERVER_ERROR)]
    counted = Counter(task for task, outcome in own if counts(outcome))
    free = UNCOUNTED | ({"500"} if spared else set())
    taken = Counter(line.task for line in world.gateway.bill if line.fault not in free)
    if lost and max(lost.values()) > world.limits.unknown + 1:
        raise Violation(f"more lost answers than {world.limits.unknown} + 1: {lost}")
    most = world.limits.attempts * world.routes  # counted anew where a task is sent on
    for calls in (counted, taken):
        if calls and max(calls.values()) > most:
            raise Violation(f"more calls than {most} for a task: {calls}")


def _images(world: World) -> None:
    made = {line.attempt: line.digest for line in world.gateway.bill if line.digest}
    seen: set[object] = set()
    for task, attempt, path, digest in world.ask("SELECT task_id, attempt_id, path, sha256 FROM image"):
        file = world.output / str(path)
        if not file.exists() or sha256(file.read_bytes()).hexdigest() != digest:
            raise Violation(f"{path} is in the books and not whole on the disk")
        if made.get(int(str(attempt))) != digest:
            raise Violation(f"{path} is not what attempt {attempt} brought")
        if {task, digest} & seen:
            raise Violation(f"task {task} or its image came twice")
        seen |= {task, digest}
