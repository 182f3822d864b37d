"""The ledger as the rest of the program sees it: one owner, and every change a whole transaction."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

from batchgen.domain.clock import Clock
from batchgen.domain.errors import NotInLedger
from batchgen.domain.job import Difference, JobSpec, Plan
from batchgen.domain.learned import Learned, Whose
from batchgen.domain.lifecycle import Charge, TaskEvent, TaskState
from batchgen.domain.model import Booking, Claim, GivenBack, Reservation, Settlement
from batchgen.domain.walls import Wall
from batchgen.ledger import verbs
from batchgen.ledger.adoption import Intact, by_the_books
from batchgen.ledger.batches import BatchRow, NewBatch, OpenedBatch, WriteOff, WrittenOff
from batchgen.ledger.claims import ClaimRequest, DueRequest
from batchgen.ledger.connect import create_file
from batchgen.ledger.database import Database
from batchgen.ledger.decisions import Amounts, ChargeRuling, Repurchase, select_tasks
from batchgen.ledger.holder import Holder
from batchgen.ledger.late_images import LateImage
from batchgen.ledger.mapping import dump
from batchgen.ledger.rebuilding import Page, Pile, Written
from batchgen.ledger.recording import Approve, PlanToRecord
from batchgen.ledger.records import Interrupted
from batchgen.ledger.runs import NewOutage, NewRun, OutageEnd, RunEnd


def _listed(values: frozenset[str] | None) -> str | None:
    return None if values is None else dump(sorted(values))


class Ledger:
    """The books of every job in one file. Made by `open`; one process has it at a time.

    What a run does per task is awaited; what is done before and after a run blocks. Every method raises `LedgerError`
    when the file fails it. Who is cancelled while waiting loses the answer, not the write.

    Attributes:
        path: of the file itself, links resolved.
        name: random, made with the file; a spool names the ledger it belongs to by it.
    """

    def __init__(self, path: Path, clock: Clock, busy: float) -> None:
        self.path = path
        with ExitStack() as opened:
            holder = Holder(path, clock.now())
            opened.callback(holder.release)
            self._database = Database(path, clock, busy, holder.check, verbs.ORDER)
            opened.callback(self._database.close)
            self.name = self._database.call(verbs.NAME_LEDGER, None)
            self._opened = opened.pop_all()

    @classmethod
    def open(cls, path: Path, clock: Clock, *, busy: float = 5.0) -> Ledger:
        """Open a ledger to write, making it or bringing its schema up to date where needed.

        Args:
            path: the file; its folder is made.
            clock: for stamps.
            busy: seconds to wait for a lock that another program holds.

        Raises:
            LedgerInUse: another run has it; the message says which.
            LedgerError: it is no ledger, a newer one, locked, or cannot be written.
        """
        path = Path(os.path.realpath(path))
        create_file(path)
        return cls(path, clock, busy)

    def close(self) -> None:
        """Commit what still waits and let go of the file."""
        self._opened.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- before a run -------------------------------------------------------------------------------------------------

    def record(
        self,
        plan: Plan,
        *,
        intact: Intact = by_the_books,
        rebuy: bool = False,
        only: Collection[str] = (),
        approve: Approve | None = None,
    ) -> Difference:
        """Bring the job to what a plan wants; its prompts are not read when the very same source is recorded. Blocks.

        Args:
            plan: its prompts are read once, as a stream.
            intact: tells whether an earlier image that would serve again lies whole in the output folder.
            rebuy: buy delivered images again that a job-wide key has changed.
            only: prompt keys that the plan must have.
            approve: is told of the difference before anything is written, in the caller's thread and with nothing
                locked; when it raises, nothing has changed.

        Raises:
            UsageError: it has not all of those keys; nothing has changed.
            LedgerError: interrupted tasks of the job have not been recovered yet.
        """
        proposal = self._database.call(verbs.PROPOSE, PlanToRecord(plan, intact, rebuy, frozenset(only)))
        try:
            if approve is not None:
                approve(proposal.difference)
        except BaseException:
            self._database.call(verbs.DISCARD, proposal)
            raise
        self._database.call(verbs.ACCEPT, proposal)
        return proposal.difference

    def find_job(self, name: str) -> int | None:
        """The number of a job; None where the ledger has none of that name. Blocks."""
        return self._database.call(verbs.FIND_JOB, name)

    def job(self, name: str) -> int:
        """The number of a job. Blocks.

        Raises:
            NotInLedger: there is none of that name.
        """
        found = self.find_job(name)
        if found is None:
            raise NotInLedger(f"the ledger {self.path} has no job named {name}")
        return found

    async def interrupted(self, job: int) -> list[Interrupted]:
        """Tasks under way without anyone to hold them, for recovery."""
        return await self._database.do(verbs.INTERRUPTED, job)

    async def settled(self, attempts: Collection[int]) -> frozenset[int]:
        """Of some attempts those that are known and hold no task any more: nobody needs their answers."""
        return await self._database.do(verbs.SETTLED, attempts)

    # --- from an output folder ----------------------------------------------------------------------------------------

    def admit(self, spec: JobSpec) -> int:
        """The number of a job, made where there is none of that name. Blocks."""
        return self._database.call(verbs.ADMIT, spec)

    def known(self, attempts: Collection[int]) -> frozenset[int]:
        """Of some attempts those that are in the books. Blocks."""
        return self._database.call(verbs.KNOWN, attempts)

    def delivered(self, attempts: Collection[int]) -> dict[int, str]:
        """Of some attempts the checksums of their images. Blocks."""
        return self._database.call(verbs.DELIVERED, attempts)

    def enter_images(self, page: Page) -> Written:
        """Enter images that an index tells of; see `rebuilding`. Blocks."""
        return self._database.call(verbs.ENTER_IMAGES, page)

    def enter_answers(self, pile: Pile) -> Written:
        """Enter answers that lie whole in a spool. Blocks."""
        return self._database.call(verbs.ENTER_ANSWERS, pile)

    # --- during a run -------------------------------------------------------------------------------------------------

    async def claim(
        self,
        job: int,
        count: int,
        now: float,
        skip: Collection[int] = (),
        only: frozenset[str] | None = None,
        routes: frozenset[str] | None = None,
    ) -> list[Claim]:
        """Tasks that may run: retries that are due first, then available ones. Nothing is written.

        Args:
            job: its number.
            count: at most so many.
            now: seconds since the epoch.
            skip: tasks the caller has in hand already.
            only: prompt keys; None for all.
            routes: values of `Claim.send_route`; None for all.
        """
        wanted = ClaimRequest(job, count, now, frozenset(skip), _listed(only), _listed(routes))
        return await self._database.do(verbs.CLAIM, wanted)

    async def next_due(
        self,
        job: int,
        after: float = 0.0,
        only: frozenset[str] | None = None,
        routes: frozenset[str] | None = None,
    ) -> float | None:
        """When the first retry scheduled later than `after` is due; None when there is none."""
        return await self._database.do(verbs.NEXT_DUE, DueRequest(job, after, _listed(only), _listed(routes)))

    async def diverted(self, job: int) -> frozenset[str]:
        """The values of `Claim.send_route` that failovers have left, "" aside."""
        return await self._database.do(verbs.DIVERTED, job)

    def begin_run(self, run: NewRun) -> int:
        """Write down that a run begins, before its first call; its number. Blocks."""
        return self._database.call(verbs.BEGIN_RUN, run)

    def end_run(self, end: RunEnd) -> None:
        """Write down that a run has ended, and why. Blocks.

        Raises:
            LedgerError: it is not under way.
        """
        self._database.call(verbs.END_RUN, end)

    async def begin_outage(self, outage: NewOutage) -> None:
        """Write down that a gateway is down from now on."""
        await self._database.do(verbs.BEGIN_OUTAGE, outage)

    async def end_outage(self, end: OutageEnd) -> None:
        """Write down that a gateway that was down is back, or waited for no longer."""
        await self._database.do(verbs.END_OUTAGE, end)

    async def reserve(self, reservation: Reservation) -> int | Wall:
        """Write an attempt down, set its money aside, take the task. The attempt's number, or what it would go over.

        Raises:
            StaleClaim: the task does not wait to run any more, or its revision is another.
        """
        return await self._database.do(verbs.RESERVE, reservation)

    async def book(self, booking: Booking) -> None:
        """Write down what an attempt cost, whoever holds its task now. The same again is no harm, another an error."""
        await self._database.do(verbs.BOOK, booking)

    async def settle(self, settlement: Settlement) -> None:
        """Move a task on, through its fence, once its attempt is booked.

        Raises:
            StaleClaim: the attempt does not hold the task any more.
        """
        await self._database.do(verbs.SETTLE, settlement)

    async def book_and_settle(self, booking: Booking, settlement: Settlement) -> None:
        """Book an attempt and settle its task in one transaction.

        Raises:
            StaleClaim: the attempt does not hold the task any more; its money is booked all the same.
        """
        await self._database.do(verbs.BOOK_AND_SETTLE, (booking, settlement))

    async def give_back(self, attempts: Collection[GivenBack]) -> None:
        """Give tasks attempts back that were none of theirs: they may run again at once, as they were before.

        A task that has another revision by now, or went on to another route, is left alone; one that was called again
        since only gets its attempts back.
        """
        await self._database.do(verbs.GIVE_BACK, attempts)

    async def follow(self, attempt: int, number: str) -> None:
        """Write down the number under which a gateway works on a call that is under way.

        Raises:
            LedgerError: the attempt is booked already, or is not in the ledger.
        """
        await self._database.do(verbs.FOLLOW, (attempt, number))

    async def open_batch(self, wanted: NewBatch) -> OpenedBatch:
        """Write a batch of calls down and set their money aside, before it is handed in.

        Raises:
            StaleClaim: one of its tasks does not wait to run any more.
        """
        return await self._database.do(verbs.OPEN_BATCH, wanted)

    async def move_batch(self, row: BatchRow) -> None:
        """Write down what is known of a batch now."""
        await self._database.do(verbs.MOVE_BATCH, row)

    async def open_batches(self, job: int) -> list[BatchRow]:
        """The batchs of a job whose answers are not all in the books, oldest first."""
        return await self._database.do(verbs.OPEN_BATCHES, job)

    # --- a person decides ---------------------------------------------------------------------------------------------

    def requeue(
        self,
        job: int,
        states: Iterable[TaskState] | None = None,
        only: Iterable[str] | None = None,
        cause: str | None = None,
    ) -> Amounts:
        """Make failed, parked or cancelled tasks available again; how many by what is asked. Blocks."""
        return self._database.call(verbs.REQUEUE, select_tasks(job, TaskEvent.REQUEUE, states, only, cause))

    def buy_anew(self, job: int, tasks: Iterable[int]) -> int:
        """Make delivered tasks available again whose images are gone; how many. Blocks."""
        return self._database.call(verbs.BUY_ANEW, Repurchase(job, tuple(tasks)))

    def cancel(self, job: int, only: Iterable[str] | None = None) -> int:
        """Want the rest of a job no more; how many tasks. Blocks."""
        return self._database.call(verbs.CANCEL, select_tasks(job, TaskEvent.CANCEL, None, only))

    def write_off(self, job: int, batch: str, keep: frozenset[int]) -> WrittenOff:
        """Close a batch without its answers, and make its tasks available again. Blocks.

        Args:
            job: its number.
            batch: the gateway's id of the batch, or our token.
            keep: attempts whose answers are on disk; the next run books these.

        Raises:
            NotInLedger: the job has no such batch that is open.
        """
        return self._database.call(verbs.WRITE_OFF, WriteOff(job, batch, keep))

    async def file_late(self, image: LateImage) -> bool:
        """Enter an image that was found in a kept answer; whether it is its task's now, or an unused earlier one.

        Raises:
            LedgerError: its attempt is not booked, or the revision has another image.
        """
        return await self._database.do(verbs.FILE_LATE, image)

    async def keep_quotas(self, known: Sequence[Learned]) -> None:
        """Write down what is known now of some quotas of gateways, for the next run."""
        await self._database.do(verbs.KEEP_QUOTAS, known)

    async def forget_quotas(self, whose: Sequence[Whose]) -> None:
        """Forget what is known of some quotas of gateways."""
        await self._database.do(verbs.FORGET_QUOTAS, whose)

    def set_ceiling(self, monthly: int | None) -> None:
        """Let all jobs spend so many micro-dollars in a local calendar month; None for no limit. Blocks."""
        self._database.call(verbs.SET_CEILING, monthly)

    def settle_unknown(self, attempt: int, charge: Charge, billed: int, note: str) -> None:
        """Decide what a lost answer cost, once: `billed` micro-dollars, or `void`. Blocks."""
        self._database.call(verbs.SETTLE_UNKNOWN, ChargeRuling(attempt, charge, billed, note))
