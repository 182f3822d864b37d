"""What a Batch API answers, taken in: each answer made durable, booked and placed; a file may be read again."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from batchgen.domain.errors import GatewayError, StoreError
from batchgen.domain.model import Claim, OutcomeKind
from batchgen.domain.wire import Answer, ApiError, CallEnd
from batchgen.engine.batch.context import TURNED_AWAY, BatchContext, custom_id_of, held_attempts
from batchgen.engine.delivery import ClaimResult
from batchgen.engine.origins import origin_of
from batchgen.gateway.batch.lines import BatchAnswer
from batchgen.ledger.batches import BatchRow
from batchgen.ledger.records import Interrupted
from batchgen.policy.classify import LOST_KINDS, classify
from batchgen.store.spool.sink import SpoolSink

_AT_ONCE = 8  # images that are checked and placed at the same time
_UNTOUCHED = frozenset({"expired", "cancelled"})


class Collector:
    """Takes the answers of one job's batches in. Each step may be repeated after a crash."""

    def __init__(self, context: BatchContext) -> None:
        self._context = context
        self._run = context.run
        self._route = context.route
        self._executor = context.executor
        self._api = context.api
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
        numbers = {custom_id_of(row, attempt): attempt for attempt in held}
        hand, sinks = self._hand, list[SpoolSink]()

        def sink(custom_id: str, index: int) -> SpoolSink | None:
            attempt = numbers.get(custom_id)
            if attempt is None:
                return None
            sinks.append(hand.sink(attempt, index))
            return sinks[-1]

        lines, placing = self._api.lines(sink), set[asyncio.Task[None]]()
        taken, seen = 0, 0
        try:
            async for data in self._api.content(file):
                taken += len(data)
                for line in await lines.feed(data):
                    seen += 1
                    await self._line(row, line, sinks, (numbers, held), placing)
            if (last := await lines.finish()) is not None:
                if last.answer.ending is CallEnd.CUT:  # the rest can be had for nothing
                    raise GatewayError("the batch's answers broke off within a line", passing=True)
                await self._line(row, last, sinks, (numbers, held), placing)
            elif taken and not seen:
                raise GatewayError("what came in place of the batch's answers is no such file", passing=True)
            await asyncio.gather(*placing)
        finally:
            await asyncio.gather(*placing, return_exceptions=True)  # the file may be read again: nothing twice
            hand.discard(sinks)

    async def _line(
        self,
        row: BatchRow,
        line: BatchAnswer,
        sinks: list[SpoolSink],
        known: tuple[dict[str, int], dict[int, Interrupted]],
        placing: set[asyncio.Task[None]],
    ) -> None:
        """Make one answer durable, then book and place it beside the reading of the next."""
        numbers, held = known
        attempt = numbers.pop(line.custom_id, None)
        if attempt is None:
            return
        mine = [sink for sink in sinks if sink.attempt == attempt]
        sinks[:] = [sink for sink in sinks if sink.attempt != attempt]
        took = max(0.0, self._run.clock.now() - row.created_at)
        ids = (("batch", row.remote), *line.answer.request_ids)
        claim, origin = held[attempt].claim, origin_of(held[attempt].claim, held[attempt].attempt)
        answer = replace(
            line.answer, attempt=attempt, sent_at=row.created_at, total=took, request_ids=ids, origin=origin
        )
        answer = self._api.clean(answer)
        await self._hand.receive(answer, mine)
        while len(placing) >= _AT_ONCE:
            done, _ = await asyncio.wait(placing, return_when=asyncio.FIRST_COMPLETED)
            placing -= done
            for each in done:
                each.result()
        placing.add(asyncio.create_task(self._settle(claim, answer)))

    async def _settle(self, claim: Claim, answer: Answer) -> None:
        kind = classify(answer, self._route.contract).kind
        if kind in LOST_KINDS:
            self._route.books.lost()
        if kind in {OutcomeKind.NOT_SENT, OutcomeKind.THROTTLED}:
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
