"""Every verb of the ledger, and the order in which those that share a commit are run."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from batchgen.domain.job import JobSpec
from batchgen.domain.learned import Learned, Whose
from batchgen.domain.model import Booking, Claim, GivenBack, Reservation, Settlement
from batchgen.domain.walls import Wall
from batchgen.ledger import (
    attempts,
    batches,
    claims,
    decisions,
    job_rows,
    late_images,
    quotas,
    rebuilding,
    recording,
    runs,
)
from batchgen.ledger.batches import BatchRow, NewBatch, OpenedBatch, WriteOff, WrittenOff
from batchgen.ledger.database import Verb
from batchgen.ledger.decisions import Amounts, ChargeRuling, Repurchase, TaskSelection
from batchgen.ledger.late_images import LateImage
from batchgen.ledger.rebuilding import Page, Pile, Written
from batchgen.ledger.recording import PlanToRecord, Proposal
from batchgen.ledger.records import Interrupted
from batchgen.ledger.runs import NewOutage, NewRun, OutageEnd, RunEnd

BOOK: Verb[Booking, None] = Verb(attempts.book)
BOOK_AND_SETTLE: Verb[tuple[Booking, Settlement], None] = Verb(attempts.book_and_settle)
SETTLE: Verb[Settlement, None] = Verb(attempts.settle)
RESERVE: Verb[Reservation, int | Wall] = Verb(attempts.reserve)
GIVE_BACK: Verb[Collection[GivenBack], None] = Verb(attempts.give_back)
FOLLOW: Verb[tuple[int, str], None] = Verb(attempts.follow)
CLAIM: Verb[claims.ClaimRequest, list[Claim]] = Verb(claims.claim)
NEXT_DUE: Verb[claims.DueRequest, float | None] = Verb(claims.next_due)
INTERRUPTED: Verb[int, list[Interrupted]] = Verb(claims.interrupted)
DIVERTED: Verb[int, frozenset[str]] = Verb(claims.diverted)

SETTLE_UNKNOWN: Verb[ChargeRuling, None] = Verb(decisions.settle_unknown)
REQUEUE: Verb[TaskSelection, Amounts] = Verb(decisions.requeue)
CANCEL: Verb[TaskSelection, int] = Verb(decisions.cancel)
BUY_ANEW: Verb[Repurchase, int] = Verb(decisions.buy_anew)

OPEN_BATCH: Verb[NewBatch, OpenedBatch] = Verb(batches.open_batch)
MOVE_BATCH: Verb[BatchRow, None] = Verb(batches.move_batch)
OPEN_BATCHES: Verb[int, list[BatchRow]] = Verb(batches.open_batches)
WRITE_OFF: Verb[WriteOff, WrittenOff] = Verb(batches.write_off)

FILE_LATE: Verb[LateImage, bool] = Verb(late_images.file_late)

NAME_LEDGER: Verb[None, str] = Verb(job_rows.name_ledger)
SET_CEILING: Verb[int | None, None] = Verb(job_rows.set_ceiling)
FIND_JOB: Verb[str, int | None] = Verb(job_rows.find_job)
ADMIT: Verb[JobSpec, int] = Verb(job_rows.admit)
KEEP_QUOTAS: Verb[Sequence[Learned], None] = Verb(quotas.keep)
FORGET_QUOTAS: Verb[Sequence[Whose], None] = Verb(quotas.forget)
BEGIN_RUN: Verb[NewRun, int] = Verb(runs.begin)
BEGIN_OUTAGE: Verb[NewOutage, None] = Verb(runs.begin_outage)
END_OUTAGE: Verb[OutageEnd, None] = Verb(runs.end_outage)
END_RUN: Verb[RunEnd, None] = Verb(runs.end)

PROPOSE: Verb[PlanToRecord, Proposal] = Verb(recording.propose)
ACCEPT: Verb[Proposal, None] = Verb(recording.accept)
DISCARD: Verb[Proposal, None] = Verb(recording.discard)

SETTLED: Verb[Collection[int], frozenset[int]] = Verb(rebuilding.settled)
KNOWN: Verb[Collection[int], frozenset[int]] = Verb(rebuilding.known)
DELIVERED: Verb[Collection[int], dict[int, str]] = Verb(rebuilding.delivered)
ENTER_IMAGES: Verb[Page, Written] = Verb(rebuilding.enter_images)
ENTER_ANSWERS: Verb[Pile, Written] = Verb(rebuilding.enter_answers)

ORDER: tuple[Verb[Any, Any], ...] = (
    # What an attempt cost comes first: it can only free what a reservation then may need.
    *(BOOK, BOOK_AND_SETTLE, SETTLE, GIVE_BACK, RESERVE, FOLLOW),
    *(CLAIM, NEXT_DUE, INTERRUPTED),
    *(SETTLE_UNKNOWN, REQUEUE, CANCEL, FILE_LATE),
    OPEN_BATCH,
    *(FIND_JOB, NAME_LEDGER),
    *(MOVE_BATCH, OPEN_BATCHES, DIVERTED, WRITE_OFF),
    *(BEGIN_RUN, BEGIN_OUTAGE, END_OUTAGE, SETTLED, END_RUN, DELIVERED, SET_CEILING, KNOWN, BUY_ANEW),
    *(KEEP_QUOTAS, FORGET_QUOTAS),
    *(PROPOSE, ACCEPT, DISCARD),
    *(ADMIT, ENTER_IMAGES, ENTER_ANSWERS),
)
"""Which verbs of one commit are run before which."""
