"""Kept answers read again, without a call: an image in one is placed, filed and named in the index like any other.

May be killed at any moment and made again: the kept answer goes last, once its image is in the books.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from batchgen.contracts.contract import Contract
from batchgen.domain.errors import ContractError, StoreError
from batchgen.domain.inputs import NO_INPUTS
from batchgen.domain.model import KEPT_KINDS, Claim
from batchgen.domain.output_image import Damaged, Delivered, Image
from batchgen.domain.size import parse_size
from batchgen.domain.wire import Answer, Call, Fetch, Picture, PreparedInputs
from batchgen.engine.attempt import Executor
from batchgen.engine.bookings import image_flags
from batchgen.engine.hand import FolderHand, Hand
from batchgen.engine.origins import is_of, line_of, origin_of
from batchgen.engine.recovery import forget_delivered
from batchgen.engine.routes import RouteRun
from batchgen.gateway.request import build_call
from batchgen.ledger.late_images import LateImage
from batchgen.ledger.reader import Reader
from batchgen.ledger.records import PaidCall
from batchgen.store.layout import kept_receipt

_Prepare = Callable[[Claim, Contract], Awaitable[PreparedInputs]]

_NO_ROUTE = "it came over {}, which the manifest does not name any more"
_NOTHING = "no image was found in it"
_TRIES = 3  # at an address that may be there in a moment
_PAUSE = 2.0


class KeptFate(StrEnum):
    """What became of a kept answer."""

    DELIVERED = "delivered"  # its image is its task's now
    FILED = "filed"  # its image is in the books, unused: its task has another one, or asks something else
    UNREAD = "unread"  # there is no image in it that this program can find
    DAMAGED = "damaged"  # an image was found, and is not whole
    UNFETCHED = "unfetched"  # an address was found, and cannot be fetched now


@dataclass(frozen=True, slots=True)
class Reread:
    """One kept answer, and what became of it.

    Attributes:
        task: as people name it: id, size, sample.
        detail: where its image is below the output folder, or what is in the way.
    """

    attempt: int
    task: str
    fate: KeptFate
    detail: str


class KeptReader:
    """Reads the kept answers of one job, over the routes that they came from."""

    def __init__(self, executor: Executor) -> None:
        self._run = executor.run
        self._hand: Hand = executor.hand

    async def run(self) -> list[Reread]:
        """Read every kept answer of the job; what is of others, or not in the books, is left.

        Raises:
            LedgerError: the books cannot be written.
            StoreError: the output folder or the spool cannot be read or written.
        """
        await forget_delivered(self._run.ledger, self._hand)
        kept = await self._hand.kept()
        with Reader(self._run.ledger.path) as reader:
            calls = reader.paid_calls(self._run.job, kept)
        return [read for call in calls if (read := await self._read(call)) is not None]

    async def _read(self, paid: PaidCall) -> Reread | None:
        route = self._run.routes.find(paid.attempt.route)
        again = await _read_again(self._hand, paid, None if route is None else route.contract, self._prepare)
        if route is None or again is None or isinstance(again, Reread):
            return again if isinstance(again, Reread) else None
        placed = await self._place(route, paid, again)
        return placed if isinstance(placed, Reread) else await self._file(route, paid, again, placed)

    async def _prepare(self, claim: Claim, contract: Contract) -> PreparedInputs:
        return await self._hand.prepare(claim.inputs, contract.references)

    async def _place(self, route: RouteRun, paid: PaidCall, again: Answer) -> Image | Reread:
        """Give the image a name in the output folder, fetched first where it came as an address."""
        number, path, revision = paid.attempt.id, paid.claim.path, paid.attempt.revision
        if again.picture is not None:
            placed = await self._hand.place_kept(number, again.picture, path, revision)
        elif again.urls:
            picture = await self._fetch(route, number, again.urls[0])
            if isinstance(picture, str):
                return _told(paid, KeptFate.UNFETCHED, picture)
            if picture.damage:
                return _told(paid, KeptFate.DAMAGED, picture.damage)
            placed = await self._hand.place(number, picture, path, revision)
        else:
            broken = next((picture.damage for picture in again.pictures if picture.damage), "")
            return _told(paid, KeptFate.DAMAGED if broken else KeptFate.UNREAD, broken or _NOTHING)
        return _told(paid, KeptFate.DAMAGED, placed.reason) if isinstance(placed, Damaged) else placed

    async def _fetch(self, route: RouteRun, attempt: int, url: str) -> Picture | str:
        """Fetch an address, or take what an earlier try has left of it; say why it cannot be had now."""
        if (found := await self._hand.find_download(attempt)) is not None:
            return found
        why = ""
        for number in range(_TRIES):
            await self._run.clock.sleep(_PAUSE if number else 0.0)
            download = await self._hand.download(route.name, attempt, url)
            if download.picture is not None:
                return download.picture
            allowing = f'; images_from: ["{download.allow}"] in the manifest would allow it' if download.allow else ""
            why = f"its address cannot be fetched: {download.detail}{allowing}"
            if download.fetch is not Fetch.AGAIN:
                break
        return why

    async def _file(self, route: RouteRun, paid: PaidCall, answer: Answer, image: Image) -> Reread:
        """Enter the image, name it in the index, and let go of the answer, in this order."""
        attempt, own, shared = paid.attempt, answer.origin.own, answer.origin.shared
        claim = replace(paid.claim, send_size=parse_size(attempt.size_sent))
        flags = image_flags(claim, image, route.contract, rerouted=route is not self._run.routes.first)
        note = f"found by `batchgen recover` in {kept_receipt(attempt.id)}"
        present = await self._run.ledger.file_late(LateImage(attempt.id, image, own, shared, flags, note))
        origin, now = replace(origin_of(claim, attempt), own=own, shared=shared), self._run.clock.now()
        line = Delivered(
            origin, image, flags, attempt.id, attempt.request_ids, attempt.charge, attempt.billed, created=now
        )
        # The last line of a task names its image, so that of an unused one never stands alone.
        await self._hand.note_image(line, *(() if present else self._present(claim.task)))
        await self._hand.forget_kept(attempt.id)
        await self._hand.clear(attempt.id)
        return _told(paid, KeptFate.DELIVERED if present else KeptFate.FILED, image.path)

    def _present(self, task: int) -> list[Delivered]:
        with Reader(self._run.ledger.path) as reader:
            return [line_of(row, attempt) for row, attempt in reader.bought([task])]


async def preview(folder: FolderHand, calls: Iterable[PaidCall], contracts: Mapping[str, Contract]) -> list[Reread]:
    """Read kept answers and say what is in them; nothing is written, fetched or looked at more closely.

    Args:
        folder: that has them.
        calls: that they came of.
        contracts: by the names of their routes.
    """
    found = []
    for paid in calls:
        again = await _read_again(folder, paid, contracts.get(paid.attempt.route), _no_files)
        if again is not None:
            found.append(again if isinstance(again, Reread) else _previewed(paid, again))
    return found


def _previewed(paid: PaidCall, again: Answer) -> Reread:
    if again.picture is not None:
        return _told(paid, KeptFate.DELIVERED, "an image is in it")
    if again.urls:
        return _told(paid, KeptFate.DELIVERED, "the address of an image is in it")
    return _told(paid, KeptFate.UNREAD, _NOTHING)


async def _read_again(
    folder: FolderHand, paid: PaidCall, contract: Contract | None, prepare: _Prepare
) -> Answer | Reread | None:
    """Read the kept answer of a call, or say why it cannot be; None where it has none that still waits for that."""
    attempt = paid.attempt
    if attempt.outcome not in KEPT_KINDS:
        return None
    if contract is None:
        return _told(paid, KeptFate.UNREAD, _NO_ROUTE.format(attempt.route))
    try:
        again = await folder.read_kept(await _call(paid, contract, prepare))
    except ContractError as error:  # nobody reads such answers any more
        return _told(paid, KeptFate.UNREAD, str(error))
    return again if again is not None and is_of(again.origin, origin_of(paid.claim, attempt)) else None


async def _call(paid: PaidCall, contract: Contract, prepare: _Prepare) -> Call:
    """Make the call of an attempt anew; of what it was made with, what is there no more is left out."""
    attempt, asked = paid.attempt, replace(paid.claim, send_size=parse_size(paid.attempt.size_sent))
    try:
        call = build_call(attempt.id, asked, contract, await prepare(asked, contract))
    except (ContractError, StoreError):  # an input has changed since, or the route takes none any more
        call = replace(build_call(attempt.id, replace(asked, inputs=NO_INPUTS), contract, PreparedInputs()), body=())
    return replace(call, operation=attempt.endpoint, url=attempt.base_url + call.url.removeprefix(contract.base_url))


async def _no_files(claim: Claim, _contract: Contract) -> PreparedInputs:
    if claim.inputs.count:
        raise StoreError("nothing is prepared, because nothing is written")
    return PreparedInputs()


def _told(paid: PaidCall, fate: KeptFate, detail: str) -> Reread:
    claim = paid.claim
    return Reread(paid.attempt.id, f"{claim.key}/{claim.size}/{claim.sample}", fate, detail)
