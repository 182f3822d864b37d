"""One bundle of calls to a Batch API, step by step: written down, handed in, worked on, taken in, closed."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import aiofiles

from batchgen.contracts.pricing import expected
from batchgen.domain.errors import GatewayError, StoreError
from batchgen.domain.events import Listener, Notice
from batchgen.domain.lifecycle import BatchState
from batchgen.domain.model import Claim, Reservation
from batchgen.domain.wire import Call, FilePiece
from batchgen.engine.entries import reservation
from batchgen.engine.intake import Desk, Intake, custom_id_of, held_attempts
from batchgen.gateway.batches import TERMINAL, RemoteBatch
from batchgen.gateway.request import batch_body, batch_line, body_hash
from batchgen.gateway.sending import stream
from batchgen.ledger.batches import CREATING, BatchRow, NewBatch

_MOST_CALLS = 500  # the API takes 50,000; smaller ones come back sooner and lose less
_MOST_BYTES = 180_000_000  # the API takes 200 MB
_SETTLES = 120.0  # seconds within which the gateway lists a batch whose creation nobody saw the answer of
_SETTLES_HERE = 2.0  # the same of a gateway on this machine
_REFUSED = frozenset({400, 404, 413, 422})  # the file itself is not taken; asking again would not help


class Bundler:
    """Moves the bundles of one job on. Each step may be repeated after a crash."""

    most_calls = _MOST_CALLS

    def __init__(self, desk: Desk, listener: Listener) -> None:
        self._desk = desk
        self._intake = Intake(desk)
        self._emit = listener
        self._told: dict[int, tuple[str, int]] = {}

    async def open(self, claims: Sequence[Claim]) -> bool:
        """Write a new bundle down with its money; False when the budget allows none of it.

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
        token, route = secrets.token_hex(12), self._desk.means.contract.route
        new = NewBatch(self._desk.job, route, token, tuple(entry for _, entry in wanted))
        made = await self._desk.ledger.open_batch(new)
        for (claim, _), attempt in zip(wanted, made.attempts, strict=True):
            if attempt is not None:
                self._desk.means.books.tally.calls += 1
                self._desk.means.books.started(claim, attempt)
        return made.batch is not None

    async def advance(self, row: BatchRow) -> bool:
        """Take one bundle a step further; whether it moved.

        Raises:
            GatewayError: the gateway did not answer as it should.
            StoreError: its answers could not be kept, or its file not be written.
        """
        if row.state is BatchState.WRITTEN:
            await self._hand_in(row)
            return True
        if row.state is BatchState.SUBMITTED:
            return await self._look(row)
        try:
            await self._intake.take_in(row)
        except GatewayError as error:
            raise self._unknown(row, error) from error
        await self._move(row, state=BatchState.CLOSED)
        return True

    @property
    def stopped(self) -> str | None:
        """Why no call of the route can succeed now; None when nothing is known against it."""
        return self._desk.executor.stopped

    async def _reservation(self, claim: Claim) -> tuple[str, Reservation, int]:
        """The endpoint a call is for, its attempt, and the bytes it takes in the file."""
        means = self._desk.means
        contract = means.contract
        inputs = await means.hand.prepare(claim.inputs, contract.references)
        address, pieces = batch_body(claim, contract, inputs)
        call = Call(0, "batch", address, pieces, "", contract.key_env, 0.0, contract.loopback)
        cost = expected(contract, claim.send_size, claim.parameters, claim.text, claim.inputs)
        entry = reservation(claim, call, cost, contract, self._desk.account, means.clock.now())
        length = sum(piece.length if isinstance(piece, FilePiece) else len(piece) for piece in pieces)
        return address, replace(entry, request_hash=body_hash(address, pieces)), length + 200

    async def _hand_in(self, row: BatchRow) -> None:
        """Hand a bundle in, unless the gateway has it already from a process that died before it could say so."""
        api, attempts = self._desk.api, await held_attempts(self._desk, row)
        if not attempts:
            await self._move(row, state=BatchState.CLOSED)
            return
        held = {each.attempt.id: each.claim for each in attempts}
        file = self._desk.folder / f"batch-{row.token}.jsonl"
        remote = await self._find(row, {each.attempt.key_fingerprint for each in attempts})
        try:
            if remote is None:
                endpoint = await self._write(file, row, held)
                upload = await api.upload(file, file.stat().st_size)
                await self._move(row, status=CREATING)
                remote = await api.create(upload, endpoint, row.token)
                self._emit(Notice(f"batch {remote.id}: {len(held)} images are handed in"))
        except OSError as error:
            raise StoreError(f"cannot write {file}: {error.strerror}; free some space and run again") from error
        except GatewayError as error:
            if error.status not in _REFUSED:
                if 400 <= error.status < 500 and error.status != 408:  # it was not handed in
                    await self._move(row, status="")
                raise
            await self._move(row, state=BatchState.ENDED, status="failed", detail=str(error))
        else:
            await self._move(row, state=BatchState.SUBMITTED, remote=remote.id, status=remote.status)
        finally:
            file.unlink(missing_ok=True)

    async def _find(self, row: BatchRow, keys: set[str]) -> RemoteBatch | None:
        """The gateway's batch of a bundle; None when it has none and will not list one soon.

        Args:
            row: the bundle.
            keys: the fingerprints of those it may have been handed in with.

        Raises:
            GatewayError: nobody can tell yet, or not with this key.
        """
        remote = await self._desk.api.find(row.token, row.created_at)
        if remote is not None or row.status != CREATING:
            return remote
        if keys != {self._desk.account.key_fingerprint}:
            raise GatewayError(
                f"a batch of {row.calls} images may have been handed in with another key, and this one does not "
                f"see it; {self._way_out(row)}"
            )
        settles = _SETTLES_HERE if self._desk.means.contract.loopback else _SETTLES
        if self._desk.means.clock.now() < row.updated_at + settles:
            raise GatewayError("a batch may have been handed in, and is looked for before it is again", passing=True)
        return None

    def _unknown(self, row: BatchRow, error: GatewayError) -> GatewayError:
        """What to say of a batch, or of its files, that the gateway does not know; any other error stays as it is."""
        if error.status != 404:
            return error
        lost = f"{error}. It was handed in with another account's key, or is deleted; {self._way_out(row)}"
        return GatewayError(lost, status=error.status)

    def _way_out(self, row: BatchRow) -> str:
        name = row.remote or row.token
        return (
            f"run with that key, or give the batch up with `retry JOB --batch {name}`: its images may be paid already"
        )

    async def _write(self, file: Path, row: BatchRow, held: dict[int, Claim]) -> str:
        """The file of calls; gives the endpoint they are for."""
        means, endpoint = self._desk.means, ""
        async with aiofiles.open(file, "wb") as out:
            for attempt, claim in held.items():
                inputs = await means.hand.prepare(claim.inputs, means.contract.references)
                endpoint = batch_body(claim, means.contract, inputs)[0]
                async for data in stream(batch_line(custom_id_of(row, attempt), claim, means.contract, inputs)):
                    await out.write(data)
        return endpoint

    async def _look(self, row: BatchRow) -> bool:
        """Ask how far the gateway is."""
        try:
            remote = await self._desk.api.get(row.remote)
        except GatewayError as error:
            raise self._unknown(row, error) from error
        if remote.status in TERMINAL:
            await self._move(
                row,
                state=BatchState.ENDED,
                status=remote.status,
                output_file=remote.output_file,
                error_file=remote.error_file,
                detail=remote.detail,
            )
            return True
        done = remote.completed + remote.failed
        mark = remote.status, 10 * done // max(1, remote.total)  # each tenth is news, each image is not
        if self._told.get(row.id) != mark:
            self._told[row.id] = mark
            self._emit(Notice(f"batch {remote.id}: {remote.status}, {done} of {remote.total}"))
        return False

    async def _move(self, row: BatchRow, **known: object) -> None:
        await self._desk.ledger.move_batch(replace(row, **known))  # type: ignore[arg-type]
