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
from batchgen.engine.route_keys import RouteKey, key_missing
from batchgen.gateway.request import build_call
from batchgen.ledger.batches import BatchRow, NewBatch

_MOST_CALLS = 500  # the API takes 50,000; smaller ones come back sooner and lose less
_MOST_BYTES = 180_000_000  # the API takes 200 MB
_OF_THE_KEY = frozenset({401, 402, 403, 429})  # of errors that do not pass, those about the key or its quota


class BatchSteps:
    """Moves the batches of one job on. Each step may be repeated after a crash.

    Attributes:
        waiting: why nobody in this run asks for a batch any more that goes on at the gateway, by its number.
    """

    most_calls = _MOST_CALLS

    def __init__(self, context: BatchContext) -> None:
        self._context = context
        self._run = context.run
        self._route = context.route
        self._hand = context.hand
        self._collector = Collector(context)
        self.waiting: dict[int, str] = {}
        self._told: dict[int, tuple[str, int]] = {}
        self.gate = SubmitGate(context)
        self._submitter = Submitter(context, self.gate)

    async def open(self, claims: Sequence[Claim], key: RouteKey) -> bool:
        """Write a new batch down with its money and its key; False when it may spend nothing, and the tally says why.

        Raises:
            StoreError: an input image cannot be made ready.
        """
        wanted: list[tuple[Claim, Reservation]] = []
        size, address = 0, ""
        for claim in claims:
            path, entry, length = await self._reservation(claim, key)
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

        Where it is its key alone that does not go any further, it waits, or what was not handed in goes with another.

        Raises:
            GatewayError: the gateway did not answer as it should.
            StoreError: its answers could not be kept, or its file not be written.
        """
        try:
            return await self._advance(row)
        except GatewayError as error:
            key = self._context.key_of(row)
            if error.passing or (key is not None and not self._stops_key(key, error)):
                raise
            if row.never_handed_in:
                await self._submitter.turn_away(row, str(error))
                return True
            missing = (
                key_missing(row.key_fingerprint) if key is None else "with a key that the gateway does not take now"
            )
            self.waiting[row.id] = f"{error}. It was handed in {missing}; or {way_out(row)}"
            return False

    def _stops_key(self, key: RouteKey, error: GatewayError) -> bool:
        """Tell whether an error stops one key alone, and stop it."""
        others = any(each.stopped is None for each in self._route.keys if each is not key)
        if not others or error.status not in _OF_THE_KEY:
            return False
        self._route.keys.refuse(key, str(error))
        return True

    async def _advance(self, row: BatchRow) -> bool:
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

    async def _reservation(self, claim: Claim, key: RouteKey) -> tuple[str, Reservation, int]:
        """Return the path a call is for, its attempt, and the bytes it takes in the file."""
        route = self._route
        contract = route.contract
        inputs = await self._hand.prepare(claim.inputs, contract.references)
        call = build_call(0, claim, contract, inputs)
        cost = expected(contract, Demand.of_claim(claim))
        now, account = self._run.clock.now(), route.books.account
        entry = reservation(claim, call, cost, contract, account, key_fingerprint=key.fingerprint, now=now)
        length = sum(piece.length if isinstance(piece, FilePiece) else len(piece) for piece in call.body)
        return call.url, entry, length + 200

    def _unknown(self, row: BatchRow, error: GatewayError) -> GatewayError:
        """Say what to do where the gateway does not know a batch, or its files; any other error stays as it is."""
        if error.status != 404:
            return error
        if self._context.key_of(row) is None:
            return error
        lost = f"{error}. It was deleted, or belongs to another project; {way_out(row)}"
        return GatewayError(lost, status=error.status)

    async def _look(self, row: BatchRow) -> bool:
        """Ask how far the gateway is."""
        try:
            remote = await self._hand.get_batch(self._route.name, self._context.asking_key(row), row.remote)
        except GatewayError as error:
            raise self._unknown(row, error) from error
        if remote.has_ended:
            self.gate.ended(self._context.key_of(row), remote)
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
