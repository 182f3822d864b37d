"""From a paid answer to a settled image: fetch, check, place, settle. Nothing here makes a call."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import Enum

from batchgen.contracts.pricing import Demand, expected
from batchgen.domain.errors import StoreError
from batchgen.domain.events import Notice
from batchgen.domain.lifecycle import Charge
from batchgen.domain.model import Booking, Claim
from batchgen.domain.origin import Origin
from batchgen.domain.output_image import Damaged, Delivered, Image
from batchgen.domain.wire import Answer, Download, Fetch, Picture
from batchgen.engine.hand import Hand
from batchgen.engine.job_run import JobRun
from batchgen.engine.routes import RouteRun
from batchgen.policy.backoff import Backoff
from batchgen.policy.classify import damaged, expired, unchecked
from batchgen.policy.decide import Park, decide
from batchgen.store.layout import SPOOL

_PATIENCE = 1800.0  # seconds for a paid address; then the run goes on, and the next one tries again
# Seconds of waiting between tries: a storage that has the file only now, a check for robots, or a network that is not
# up yet when a laptop wakes is no end of an address.
_GONE_AFTER = 30.0
_LONGEST_TRY = 360.0  # seconds; what seems to have taken longer is this process's own sleep
_STEP = 1.0  # seconds between two looks whether there is still time
_SLOW = 3  # failures in a row


class _NotNow(Exception):
    """A paid address is left to the next run."""


class _NotAllowed(Exception):
    """A paid address is not gone to by a rule of ours, which somebody can change."""

    def __init__(self, download: Download) -> None:
        self.download = download
        super().__init__(download.detail)


class ClaimResult(Enum):
    """What became of one claim, as far as the runner cares."""

    SETTLED = "settled"
    NO_BUDGET = "no budget"
    NOT_MADE = "not made"  # its gateway is down, and its task is as it was
    LEFT_FOR_RECOVERY = "left for recovery"
    NOT_ALLOWED = "not allowed"  # its paid address is in the books, and no rule of ours lets it be fetched


@dataclass(frozen=True, slots=True)
class Paid:
    """An attempt that is in the books as paid, and brought an image or its address.

    Attributes:
        billed: micro-dollars; the best guess where the charge is unknown.
    """

    attempt: int
    charge: Charge
    billed: int
    request_ids: tuple[tuple[str, str], ...]
    origin: Origin

    @classmethod
    def of(cls, answer: Answer, entry: Booking) -> Paid:
        """Return what an answer brought, as it is booked."""
        return cls(answer.attempt, entry.charge, entry.billed, answer.request_ids, answer.origin)


class Delivery:
    """Brings what is paid into the output folder and settles its task.

    Attributes:
        patience: seconds to wait for one paid address; once the run begins nothing new, a failure is the last try.
        out_of_time: whether no address is waited for any longer, because a start has waited for them long enough.
        not_allowed: by route, why it is stopped that gives addresses which may not be gone to.
    """

    def __init__(self, run: JobRun, hand: Hand) -> None:
        self.patience = _PATIENCE
        self.out_of_time = False
        self.not_allowed: dict[str, str] = {}
        self._run = run
        self._hand = hand
        self._backoff = Backoff(base=1.0, cap=15.0)

    async def fetch(self, route: RouteRun, claim: Claim, paid: Paid, url: str, expires: float) -> ClaimResult:
        """Go on with a paid address: download, check, place, settle. Makes no call."""
        attempt = paid.attempt
        try:
            picture = await self._run.wire.wait(self._download(route, claim, attempt, url, expires))
        except asyncio.CancelledError:
            return ClaimResult.LEFT_FOR_RECOVERY
        except _NotNow as error:
            route.books.unfetched()
            self._run.emit(Notice(f"{claim.key}: {error}; the next run tries again, without a call"))
            return ClaimResult.LEFT_FOR_RECOVERY
        except _NotAllowed as error:
            return self._hold(route, error.download)
        except StoreError as error:
            self._run.drain(f"{error}. The address is in the books; the next run fetches it without a call")
            return ClaimResult.LEFT_FOR_RECOVERY
        if isinstance(picture, str):
            route.books.unfetched()
            await route.books.settle(claim, attempt, expired(picture), Park(picture))
            await self._hand.clear(attempt)
            return ClaimResult.SETTLED
        if picture.damage:
            return await self.condemn(route, claim, attempt, Damaged(picture.damage, picture.file))
        return await self.place(route, claim, paid, picture)

    def _hold(self, route: RouteRun, download: Download) -> ClaimResult:
        """Leave a paid address in the books until it may be gone to, and buy nothing more that would lie there."""
        why = (
            f"a paid image lies where this program does not go by itself: {download.detail}. If that is right, write "
            f'images_from: ["{download.allow}"] into the manifest, or under its route; the next run then fetches it '
            "without a call. Until then it buys nothing over this route"
        )
        route.books.withheld()
        route.stop(why)
        self.not_allowed.setdefault(route.name, why)
        return ClaimResult.NOT_ALLOWED

    async def place(self, route: RouteRun, claim: Claim, paid: Paid, picture: Picture) -> ClaimResult:
        """Check the image, put it into the output folder, settle the task, clear the spool."""
        attempt = paid.attempt
        try:
            placed = await self._hand.place(attempt, picture, claim.path, claim.revision)
        except StoreError as error:
            self._run.drain(f"{error}. The paid answer is kept in the spool; the next run places it without a call")
            return ClaimResult.LEFT_FOR_RECOVERY
        if isinstance(placed, Damaged):
            return await self.condemn(route, claim, attempt, placed)
        return await self.note(paid, placed, await route.books.complete(claim, attempt, placed))

    async def note(self, paid: Paid, image: Image, flags: tuple[str, ...]) -> ClaimResult:
        """Add an image that is settled to the index, and clear the spool."""
        now = self._run.clock.now()
        await self._hand.note_image(
            Delivered(paid.origin, image, flags, paid.attempt, paid.request_ids, paid.charge, paid.billed, now)
        )
        await self._hand.clear(paid.attempt)
        return ClaimResult.SETTLED

    async def condemn(self, route: RouteRun, claim: Claim, attempt: int, found: Damaged) -> ClaimResult:
        """Settle a task whose paid image is set aside, and clear the spool."""
        why = f"{found.reason}; the bytes are kept in {SPOOL}/{found.kept}"
        if found.sure:
            outcome = damaged(why)
            upper = expected(route.contract, Demand.of_claim(claim)).upper
            decision = decide(outcome, claim, route.rules, self._run.uniform, upper=upper)
        else:
            outcome = unchecked(why)
            decision = Park(f"paid, but its image could not be checked ({why})")
        await route.books.settle(claim, attempt, outcome, decision)
        await self._hand.clear(attempt)
        return ClaimResult.SETTLED

    async def keep_damaged(self, answer: Answer, but: Picture | None = None) -> None:
        """Set aside what an answer brought and is not delivered: paid bytes are not thrown away, whatever they are.

        Of an answer that is delivered, `but` for that picture, only damaged ones are kept; the others are variants.
        """
        if 200 <= answer.status < 300:
            for picture in answer.pictures:
                if picture.size and (picture.damage or but is None):
                    kept = await self._hand.keep_damaged(picture)
                    self._run.emit(
                        Notice(f"attempt {answer.attempt}: {picture.damage or 'cut'}; its bytes are in {SPOOL}/{kept}")
                    )

    async def _download(self, route: RouteRun, claim: Claim, attempt: int, url: str, expires: float) -> Picture | str:
        """Download a picture, or say why it can never be had. Retries are downloads, never calls.

        Raises:
            _NotNow: this run has waited long enough for it.
            _NotAllowed: a rule of ours forbids it, and the address may live until that is changed.
            StoreError: the bytes could not be written.
        """
        clock = self._run.clock
        failures, slow, waited, rested, overdue = 0, 0, 0.0, 0.0, 0.0
        try:
            while not self.out_of_time:
                begun = clock.monotonic()
                download = await self._hand.download(route.name, attempt, url)
                if download.picture is not None:
                    return download.picture
                failures += 1
                delay = self._backoff.delay(failures, self._run.uniform)
                waited += min(clock.monotonic() - begun, _LONGEST_TRY) + delay
                rested += delay
                if download.fetch is Fetch.REFUSED:
                    return self._refused(route, download, alive=clock.now() < expires)
                if download.fetch is Fetch.UNUSABLE or (download.fetch is Fetch.GONE and rested > _GONE_AFTER):
                    return f"paid, but its address cannot be fetched: {download.detail}"
                overdue += delay if clock.now() + delay >= expires else 0.0
                if overdue > _GONE_AFTER:
                    return f"paid, but its address expired before it could be fetched: {download.detail}"
                if waited >= self.patience or self._run.draining.is_set():
                    raise _NotNow(f"a paid image cannot be fetched now ({download.detail})")
                if failures == _SLOW:
                    slow = 1
                    route.books.slow(slow)
                    self._run.emit(
                        Notice(f"{claim.key}: a paid image is slow to download ({download.detail}); trying on")
                    )
                await self._rest(delay)
            raise _NotNow("there was no time left to fetch a paid image")
        finally:
            route.books.slow(-slow)

    def _refused(self, route: RouteRun, download: Download, *, alive: bool) -> str:
        """Say why an address is given up that a rule of ours forbids, where nothing or nobody can change that.

        Raises:
            _NotAllowed: somebody can.
        """
        if download.allow and alive:
            raise _NotAllowed(download)
        if download.allow:
            return f"paid, but its address expired before it was allowed: {download.detail}"
        route.stop(
            f"a paid image lies at an address that is never gone to: {download.detail}. Look at what {route.name} "
            "answers (`batchgen report`) before you run again: the next run buys over it again"
        )
        return f"paid, but its address is never gone to: {download.detail}"

    async def _rest(self, seconds: float) -> None:
        """Sleep, but not much past the time that is left for all addresses."""
        while seconds > 0 and not self.out_of_time:
            await self._run.clock.sleep(min(seconds, _STEP))
            seconds -= _STEP
