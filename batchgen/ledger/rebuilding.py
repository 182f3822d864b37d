"""What an output folder tells, entered into a ledger that does not have it: because it is new, or an older copy.

An attempt keeps its number where that is free. It is known again by its task, its revision, what was asked and when it
was reserved, so that entering the same twice changes nothing more.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sqlalchemy import TextClause
from sqlalchemy.engine import Connection

from batchgen.domain.lifecycle import Charge
from batchgen.domain.model import Booking, OutcomeKind
from batchgen.domain.origin import Origin
from batchgen.domain.output_image import Delivered
from batchgen.ledger import attempts
from batchgen.ledger.connect import reading
from batchgen.ledger.mapping import dump
from batchgen.ledger.scribe import KnownAttempt, Scribe
from batchgen.ledger.statements import restoring

TOLD = "told by images.jsonl"
"""The basis of a price that a ledger has from an index alone."""

_OVERTAKEN = "its answer was not booked in the ledger that was lost, and its task went on"


class Entered(StrEnum):
    """What became of a line of an index, or of an answer in a spool."""

    IMAGE = "image"  # the attempt and its image are in the books
    MONEY = "money"  # only the attempt is: another image has its place
    GONE = "gone"  # only the attempt is: its file is not there, or is not what was bought
    ANSWER = "answer"  # its task is under way with it; the next run finishes it without a call
    DOUBT = "doubt"  # booked as maybe paid: its task went on
    KNOWN = "known"  # the ledger has it already
    TAKEN = "taken"  # its number is another attempt's, so nobody could find its answer in the spool


@dataclass(frozen=True, slots=True)
class Page:
    """Some lines of an index, in its order.

    Attributes:
        lines: each with whether its image lies whole in the output folder.
        touched: tasks that earlier pages have brought an image; of theirs a line that comes again holds.
    """

    job: int
    lines: tuple[tuple[Delivered, bool], ...]
    touched: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Pile:
    """Whole answers of a spool, by the numbers of their attempts."""

    job: int
    answers: tuple[tuple[int, Origin], ...]


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a page or a pile, in its order; and the tasks that it brought an image."""

    entered: tuple[Entered, ...]
    touched: frozenset[int] = frozenset()


def enter_images(connection: Connection, pages: Sequence[Page], now: float) -> list[Written]:
    """Enter delivered images with their attempts and their money."""
    return [_enter_page(connection, page, now) for page in pages]


def enter_answers(connection: Connection, piles: Sequence[Pile], now: float) -> list[Written]:
    """Enter answers that are whole on disk: their tasks are under way, as if the process had just died."""
    return [_enter_pile(connection, pile, now) for pile in piles]


def settled(connection: Connection, asked: Sequence[Collection[int]], _now: float) -> list[frozenset[int]]:
    """Of some attempts those that the ledger knows and that hold no task any more."""
    return [_numbers(connection, restoring.SETTLED_ATTEMPTS, each) for each in asked]


def known(connection: Connection, asked: Sequence[Collection[int]], _now: float) -> list[frozenset[int]]:
    """Of some attempts those that the ledger knows."""
    return [_numbers(connection, restoring.KNOWN_ATTEMPTS, each) for each in asked]


def delivered(connection: Connection, asked: Sequence[Collection[int]], _now: float) -> list[dict[int, str]]:
    """Of some attempts the checksums of the images that the ledger has of them."""
    found = (connection.execute(restoring.CHECKSUMS, {"numbers": dump(sorted(each))}).all() for each in asked)
    return [{row.id: row.sha256 for row in rows} for rows in found]


def look(path: Path, numbers: Collection[int]) -> tuple[frozenset[int], dict[int, str], list[Path]]:
    """Of some attempts those that a ledger knows, their images' checksums, and where the images of all its jobs are.

    A ledger that does not exist knows nothing.

    Raises:
        LedgerError: it cannot be read.
    """
    if not path.exists():
        return frozenset(), {}, []
    with reading(path) as connection:
        outputs = [Path(output) for output in connection.execute(restoring.OUTPUTS).scalars()]
        return known(connection, [numbers], 0.0)[0], delivered(connection, [numbers], 0.0)[0], outputs


def _numbers(connection: Connection, query: TextClause, asked: Collection[int]) -> frozenset[int]:
    return frozenset(connection.execute(query, {"numbers": dump(sorted(asked))}).scalars())


def _enter_page(connection: Connection, page: Page, now: float) -> Written:
    scribe, touched, entered = Scribe(connection, page.job, now), set[int](), list[Entered]()
    for line, whole in page.lines:
        task = scribe.task_of(line.origin)
        found = scribe.find(task, line.origin)
        number, image = scribe.image_of(task, line.origin.revision)
        if image == line.image.sha256 and number is not None:
            if task in touched or task in page.touched:
                scribe.deliver(task, number, line)
            entered.append(Entered.KNOWN)
            continue
        attempt = _book(scribe, task, found, line)
        if whole and number is None:
            _let_go(scribe, task, attempt)
            scribe.insert_image(task, attempt, line)
            scribe.deliver(task, attempt, line)
            touched.add(task)
            entered.append(Entered.IMAGE)
        else:
            scribe.recount(task)
            other = Entered.MONEY if found is None else Entered.KNOWN
            entered.append(other if number is not None else Entered.GONE)
    scribe.close(changed=bool({Entered.IMAGE, Entered.MONEY, Entered.GONE} & set(entered)))
    return Written(tuple(entered), frozenset(touched))


def _book(scribe: Scribe, task: int, found: KnownAttempt | None, line: Delivered) -> int:
    """The number of an attempt that is in the books as a line tells it, if it was not before."""
    if found is None:
        money = (line.charge, line.billed)
        return scribe.insert_attempt(task, line.attempt, line.origin, money, line=line, basis=TOLD)
    if found.charge is Charge.RESERVED:
        booking = Booking(
            found.number,
            line.charge,
            line.billed,
            OutcomeKind.DELIVERED,
            "",
            status=200,
            request_ids=line.request_ids,
            price_basis=TOLD,
            outputs=1,
            finished_at=line.created,
        )
        attempts.book(scribe.connection, [booking], scribe.now)
    return found.number


def _enter_pile(connection: Connection, pile: Pile, now: float) -> Written:
    scribe, entered = Scribe(connection, pile.job, now), list[Entered]()
    for attempt, origin in sorted(pile.answers, key=lambda each: (each[1].revision, each[0])):
        task = scribe.task_of(origin)
        if scribe.find(task, origin) is not None:
            entered.append(Entered.KNOWN)
        elif scribe.has(attempt):
            entered.append(Entered.TAKEN)
        elif _may_take(scribe, task, attempt, origin):
            _let_go(scribe, task, attempt)
            scribe.insert_attempt(task, attempt, origin, (Charge.RESERVED, 0), basis="")
            scribe.take(task, attempt, origin)
            entered.append(Entered.ANSWER)
        else:
            scribe.insert_attempt(task, attempt, origin, (Charge.UNKNOWN, 0), basis="", detail=_OVERTAKEN)
            scribe.recount(task)
            entered.append(Entered.DOUBT)
    scribe.close(changed=any(each in {Entered.ANSWER, Entered.DOUBT} for each in entered))
    return Written(tuple(entered))


def _may_take(scribe: Scribe, task: int, attempt: int, origin: Origin) -> bool:
    """Whether a task still waits for this answer: it has no image of that revision, and no later call."""
    holder, revision = scribe.standing(task)
    if scribe.image_of(task, origin.revision)[0] is not None or revision > origin.revision:
        return False
    return holder is None or holder < attempt


def _let_go(scribe: Scribe, task: int, attempt: int) -> None:
    """Book what held a task in an older ledger as lost: another attempt came after it."""
    holder, _ = scribe.standing(task)
    if holder is None or holder == attempt:
        return
    if scribe.is_reserved(holder):
        lost = Booking(holder, Charge.UNKNOWN, 0, OutcomeKind.LOST, _OVERTAKEN, finished_at=scribe.now)
        attempts.book(scribe.connection, [lost], scribe.now)
