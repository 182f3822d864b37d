"""One batch of calls to a Batch API, step by step: written down, handed in, worked on, taken in, closed."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from batchgen.contracts.pricing import Demand, expected
from batchgen.domain.errors import GatewayError
from batchgen.domain.events import Notice
from batchgen.domain.lifecycle import BatchState
from batchgen.domain.model import Claim, Reservation
from batchgen.domain.walls import Wall
from batchgen.domain.wire import FilePiece
from batchgen.engine.batch.collect import Collector
from batchgen.engine.batch.context import TURNED_AWAY, BatchContext
from batchgen.engine.batch.submit import SubmitGate, Submitter, way_out
from batchgen.engine.bookings import reservation
from batchgen.gateway.request import build_call
from batchgen.ledger.batches import BatchRow, NewBatch

_MOST_CALLS = 500  # the API takes 50,000; smaller ones come back sooner and lose less
_MOST_BYTES = 180_000_000  # the API takes 200 MB


class BatchSteps:
    """Moves the batches of one job on. Each step may be repeated after a crash."""

    most_calls = _MOST_CALLS

    def __init__(self, context: BatchContext) -> None:
        self._context = context
        self._run = context.run
        self._route = context.route
        self._hand = context.hand
        self._collector = Collector(context)
        self._told: dict[int, tuple[str, int]] = {}
        self.gate = SubmitGate(context)
        self._submitter = Submitter(context, self.gate)

    async def open(self, claims: Sequence[Claim]) -> bool:
        """Write a new batch down with its money; False when it may spend nothing, and the tally says why.

        Raises:
            StoreError: an input image cannot be made ready.
        """
        wanted: list[tuple[Claim, Reservation]] = []
        size, address = 0, ""
        for claim in claims:
            path, entry, length = await self._reservation(claim)
            if path != (address or path):  # generations and edits cannot go together; the others come with the next
                continue
            address, size = path, size + length
            if wanted and size > _MOST_BYTES:
                break
            wanted.append((claim, entry))
        token, route = secrets.token_hex(12), self._route.name
        new = NewBatch(self._run.job, route, token, tuple(entry for _, entry in wanted))
        made = await self._run.ledger.open_batch(new)
        for (claim, entry), attempt in zip(wanted, made.attempts, strict=True):
            if isinstance(attempt, Wall):
                self._route.books.refused(attempt, entry)
            else:
                self._route.books.called()
                self._route.books.started(claim, attempt)
        return made.batch is not None

    async def advance(self, row: BatchRow) -> bool:
        """Take one batch a step further; tell whether it moved.

        Raises:
            GatewayError: the gateway did not answer as it should.
            StoreError: its answers could not be kept, or its file not be written.
        """
        if row.state is BatchState.WRITTEN:
            return await self._submitter.submit(row)
        if row.state is BatchState.SUBMITTED:
            return await self._look(row)
        try:
            await self._collector.collect(row)
        except GatewayError as error:
            raise self._unknown(row, error) from error
        await self._context.move(row, state=BatchState.CLOSED)
        return True

    async def _reservation(self, claim: Claim) -> tuple[str, Reservation, int]:
        """Return the path a call is for, its attempt, and the bytes it takes in the file."""
        route = self._route
        contract = route.contract
        inputs = await self._hand.prepare(claim.inputs, contract.references)
        call = build_call(0, claim, contract, inputs)
        cost = expected(contract, Demand.of_claim(claim))
        now = self._run.clock.now()
        entry = reservation(claim, call, cost, contract, route.books.account, now)
        length = sum(piece.length if isinstance(piece, FilePiece) else len(piece) for piece in call.body)
        return call.url, entry, length + 200

    def _unknown(self, row: BatchRow, error: GatewayError) -> GatewayError:
        """Say what to do where the gateway does not know a batch, or its files; any other error stays as it is."""
        if error.status != 404:
            return error
        lost = f"{error}. It was handed in with another account's key, or is deleted; {way_out(row)}"
        return GatewayError(lost, status=error.status)

    async def _look(self, row: BatchRow) -> bool:
        """Ask how far the gateway is."""
        try:
            remote = await self._hand.get_batch(self._route.name, row.remote)
        except GatewayError as error:
            raise self._unknown(row, error) from error
        if remote.has_ended:
            self.gate.ended(remote)
            if remote.queue_is_full:
                self._run.emit(Notice(f"batch {remote.id}: the gateway's queue is full; trying again later"))
            await self._context.move(
                row,
                state=BatchState.ENDED,
                status=TURNED_AWAY if remote.queue_is_full else remote.status,
                output_file=remote.output_file,
                error_file=remote.error_file,
                detail=remote.detail,
            )
            return True
        done = remote.completed + remote.failed
        mark = remote.status, 10 * done // max(1, remote.total)  # each tenth is news, each image is not
        if self._told.get(row.id) != mark:
            self._told[row.id] = mark
            self._run.emit(Notice(f"batch {remote.id}: {remote.status}, {done} of {remote.total}"))
        return False
