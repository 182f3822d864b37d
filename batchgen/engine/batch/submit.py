"""How a batch of calls is handed in to a Batch API: once, whatever becomes of the process or of the answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from batchgen.domain.batch_files import CallFile, RemoteBatch
from batchgen.domain.errors import GatewayError
from batchgen.domain.events import Notice
from batchgen.domain.lifecycle import BatchState
from batchgen.domain.model import Claim
from batchgen.engine.batch.context import TURNED_AWAY, BatchContext, custom_id_of, held_attempts
from batchgen.engine.lane import Lane
from batchgen.engine.route_keys import RouteKey
from batchgen.gateway.request import batch_line, build_call
from batchgen.ledger.batches import CREATING, BatchRow

_SETTLES = 120.0  # seconds within which the gateway lists a batch whose creation nobody saw the answer of
_SETTLES_HERE = 2.0  # the same of a gateway on this machine
_MOST_FAILED = 2  # batches in a row that failed as a whole: what is wrong is not in one of them
_QUEUE_PAUSE = 300.0  # seconds before a further batch where the gateway had no room for the last
_REFUSED = frozenset({400, 404, 413, 422})  # the file itself is not taken; asking again would not help


class SubmitGate:
    """Whether a further batch may be handed in."""

    def __init__(self, context: BatchContext) -> None:
        self._run = context.run
        self._route = context.route
        self._failed_in_row = 0
        self._turned_away: dict[Lane, float] = {}

    @property
    def stopped(self) -> str | None:
        """Why no call of the route can succeed now; None when nothing is known against it."""
        if self._failed_in_row >= _MOST_FAILED:
            return f"{self._failed_in_row} batches in a row failed as a whole; see `batchgen report`, then run again"
        return self._route.stopped

    @property
    def pause(self) -> float:
        """Seconds until the gateway may have room for a further batch; 0.0 where nothing is known against it."""
        return min((self._pause(key) for key in self._route.keys if key.stopped is None), default=0.0)

    def next_key(self, under_way: Iterable[BatchRow]) -> RouteKey | None:
        """Return the key for a further batch: that of the fewest calls under way, of those that may have room."""
        calls = Counter[str]()
        for row in under_way:
            calls[row.key_fingerprint] += row.calls
        free = [key for key in self._route.keys if key.stopped is None and not self._pause(key)]
        return min(free, key=lambda key: calls[key.fingerprint], default=None)

    def open(self, key: RouteKey) -> bool:
        """Tell whether one may be handed in with a key now."""
        going = not self._run.draining.is_set() and self.stopped is None
        return going and key.stopped is None and not self._pause(key)

    def _pause(self, key: RouteKey) -> float:
        turned_away = self._turned_away.get(key.lane, float("-inf"))
        return max(0.0, turned_away + _QUEUE_PAUSE - self._run.clock.monotonic())

    def failed(self) -> None:
        """Note that a batch was not taken at all."""
        self._failed_in_row += 1

    def ended(self, key: RouteKey | None, remote: RemoteBatch) -> None:
        """Note that a batch has ended; when it was turned away, the next waits for another's end, or some minutes."""
        if key is not None:
            self._turned_away[key.lane] = self._run.clock.monotonic() if remote.queue_is_full else float("-inf")
        if remote.status == "failed" and not remote.queue_is_full:
            self.failed()
        else:
            self._failed_in_row = 0


class Submitter:
    """Hands batches in. May be repeated after a crash at any moment."""

    def __init__(self, context: BatchContext, gate: SubmitGate) -> None:
        self._context = context
        self._run = context.run
        self._route = context.route
        self._hand = context.hand
        self._gate = gate

    async def submit(self, row: BatchRow) -> bool:
        """Hand a batch in, unless the gateway has it already from a process that died before it could say so.

        Tell whether anything became of it; what was not to begin any more stays as it is.
        """
        attempts, key = await held_attempts(self._context, row), self._context.key_of(row)
        if not attempts:
            await self._context.move(row, state=BatchState.CLOSED)
            return True
        remote = await self._find(row)
        if remote is None and key is None:
            await self.turn_away(row, "its key is not here")
            return True
        if remote is None and key is not None:
            try:
                remote = await self._submit(row, {each.attempt.id: each.claim for each in attempts}, key)
            except GatewayError as error:
                await self._not_handed_in(row, error)
                return True
        if remote is None:
            return False
        await self._context.move(row, state=BatchState.SUBMITTED, remote=remote.id, status=remote.status)
        return True

    async def turn_away(self, row: BatchRow, why: str) -> None:
        """Give up a batch that was not handed in: its tasks go into others."""
        await self._context.move(row, state=BatchState.ENDED, status=TURNED_AWAY, detail=why)

    async def _submit(self, row: BatchRow, held: dict[int, Claim], key: RouteKey) -> RemoteBatch | None:
        """Have the gateway work on a batch; None where nothing is to begin any more."""
        hand, route = self._hand, self._route.name
        if not self._gate.open(key):
            return None
        file, endpoint = await self._file(row, held)
        upload = await hand.upload_batch(route, key.env, file)
        if not self._gate.open(key):  # uploading may take minutes, and is free
            return None
        await self._context.move(row, status=CREATING)
        try:
            remote = await hand.create_batch(route, key.env, upload, endpoint, row.token)
        except GatewayError:
            await self._context.move(row, status=CREATING)  # from now on it is to be listed, however long that took
            raise
        self._run.emit(Notice(f"batch {remote.id}: {len(held)} images are handed in"))
        return remote

    async def _not_handed_in(self, row: BatchRow, error: GatewayError) -> None:
        """Close a batch whose file is not taken; any other refusal leaves it as it is.

        Raises:
            GatewayError: the same.
        """
        if error.status not in _REFUSED:
            if 400 <= error.status < 500 and error.status != 408:  # it was not handed in
                await self._context.move(row, status="")
            raise error
        self._gate.failed()
        await self._context.move(row, state=BatchState.ENDED, status="failed", detail=str(error))

    async def _find(self, row: BatchRow) -> RemoteBatch | None:
        """Find a batch at the gateway; None when it has none and will not list one soon.

        Raises:
            GatewayError: nobody can tell yet, or not with this key.
        """
        key = self._context.asking_key(row)
        remote = await self._hand.find_batch(self._route.name, key, row.token, row.created_at)
        if remote is not None or row.status != CREATING:
            return remote
        if self._context.key_of(row) is None:
            raise GatewayError(
                f"a batch of {row.calls} images may have been handed in with another key, and this one does not see it"
            )
        settles = _SETTLES_HERE if self._route.contract.loopback else _SETTLES
        if self._run.clock.now() < row.updated_at + settles:
            raise GatewayError("a batch may have been handed in, and is looked for before it is again", passing=True)
        return None

    async def _file(self, row: BatchRow, held: dict[int, Claim]) -> tuple[CallFile, str]:
        """Build the file of calls; give the endpoint they are for as well."""
        contract, endpoint, lines = self._route.contract, "", []
        for attempt, claim in held.items():
            call = build_call(0, claim, contract, await self._hand.prepare(claim.inputs, contract.references))
            endpoint = call.url
            lines.append(batch_line(custom_id_of(row, attempt), call))
        return CallFile(row.token, tuple(lines)), endpoint


def way_out(row: BatchRow) -> str:
    """Say what a person can do about a batch that the gateway does not show."""
    name = row.remote or row.token
    return f"give the batch up with `retry JOB --batch {name}`: its images may be paid already"
