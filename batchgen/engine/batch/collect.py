"""What a Batch API answers, taken in: each answer made durable, booked and placed; a file may be read again."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from batchgen.domain.batch_files import AnswerFile, AwaitedAnswer
from batchgen.domain.errors import StoreError
from batchgen.domain.lifecycle import Charge
from batchgen.domain.model import Claim
from batchgen.domain.wire import Answer, ApiError, CallEnd
from batchgen.engine.batch.context import TURNED_AWAY, BatchContext, custom_id_of, held_attempts
from batchgen.engine.delivery import ClaimResult
from batchgen.engine.origins import origin_of
from batchgen.ledger.batches import BatchRow
from batchgen.ledger.records import Interrupted
from batchgen.policy.classify import LOST_KINDS, classify
from batchgen.policy.decide import FOR_LATER

_AT_ONCE = 8  # images that are checked and placed at the same time
_UNTOUCHED = frozenset({"expired", "cancelled"})


class Collector:
    """Takes the answers of one job's batches in. Each step may be repeated after a crash."""

    def __init__(self, context: BatchContext) -> None:
        self._context = context
        self._route = context.route
        self._executor = context.executor
        self._hand = context.hand

    async def collect(self, row: BatchRow) -> None:
        """Take in every answer of a batch that has ended, and decide about calls that have none.

        Raises:
            GatewayError: a file of answers cannot be read; what was taken in of it stays so.
            StoreError: an answer cannot be kept or placed.
        """
        for file in filter(None, (row.output_file, row.error_file)):
            held = {each.attempt.id: each for each in await held_attempts(self._context, row)}
            await self._read(row, file, held)
        for each in await held_attempts(self._context, row):
            await self._without_answer(row, each.attempt.id, each.claim)

    async def _read(self, row: BatchRow, file: str, held: dict[int, Interrupted]) -> None:
        route, key, placing = self._route.name, self._context.asking_key(row), set[asyncio.Task[None]]()
        awaited = tuple(
            AwaitedAnswer(custom_id_of(row, attempt), attempt, origin_of(each.claim, each.attempt))
            for attempt, each in held.items()
        )
        wanted = AnswerFile(file, row.remote, row.created_at, awaited)
        try:
            async with aclosing(self._hand.collect_batch(route, key, wanted)) as answers:
                async for answer in answers:
                    await self._begin(held[answer.attempt].claim, answer, placing)
            await asyncio.gather(*placing)
        finally:
            await asyncio.gather(*placing, return_exceptions=True)  # the file may be read again: nothing twice

    async def _begin(self, claim: Claim, answer: Answer, placing: set[asyncio.Task[None]]) -> None:
        """Book and place one answer beside the reading of the next, once not too many others are."""
        while len(placing) >= _AT_ONCE:
            done, _ = await asyncio.wait(placing, return_when=asyncio.FIRST_COMPLETED)
            placing -= done
            for each in done:
                each.result()
        placing.add(asyncio.create_task(self._settle(claim, answer)))

    async def _settle(self, claim: Claim, answer: Answer) -> None:
        outcome = classify(answer, self._route.contract, claim.text)
        if outcome.kind in LOST_KINDS:
            self._route.books.lost()
        if outcome.kind in FOR_LATER and outcome.charge is Charge.VOID:
            # nobody waits for a lane here, so it counts as an attempt
            await self._executor.book_not_worked_on(self._route, claim, answer)
            await self._hand.clear(answer.attempt)
        elif await self._executor.resume(self._route, claim, answer) is ClaimResult.LEFT_FOR_RECOVERY:
            raise StoreError("an answer of the batch could not be placed; the next run places it without a call")

    async def _without_answer(self, row: BatchRow, attempt: int, claim: Claim) -> None:
        """Book a call of which the files say nothing."""
        said = row.detail or f"the batch {row.remote} is {row.status}"
        if row.status == TURNED_AWAY:
            await self._executor.book_not_sent(self._route, claim, attempt, f"never worked on: {said}")
            return
        if row.status in _UNTOUCHED:
            answer = Answer(attempt, CallEnd.NOT_SENT, detail=f"not worked on: {said}")
        elif row.status == "failed":
            error = ApiError(message=said, code="batch_failed")
            answer = Answer(attempt, CallEnd.COMPLETE, status=400, is_json=True, error=error)
        else:
            self._route.books.lost()
            await self._executor.book_lost(
                self._route, claim, attempt, f"the batch {row.remote} ended without an answer to it"
            )
            return
        await self._settle(claim, answer)
