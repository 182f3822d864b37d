"""From a paid answer to a settled image: fetch, check, place, settle. Nothing here makes a call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from batchgen.contracts.contract import Contract
from batchgen.domain.clock import Clock
from batchgen.domain.errors import StoreError
from batchgen.domain.events import Listener, Notice
from batchgen.domain.lifecycle import Charge
from batchgen.domain.model import Claim
from batchgen.domain.origin import Origin
from batchgen.domain.output_image import Damaged, Delivered
from batchgen.domain.wire import Answer, Fetch, Picture
from batchgen.engine.bookkeeper import Bookkeeper
from batchgen.engine.hand import Hand
from batchgen.policy.backoff import Backoff, Uniform
from batchgen.policy.classify import damaged, expired, unchecked
from batchgen.policy.decide import NOWHERE, NextRoutes, Park, Rules, decide
from batchgen.store.layout import SPOOL
from batchgen.store.output.image_index import ImageIndex

T = TypeVar("T")

_PATIENCE = 1800.0  # seconds for a paid address; then the run goes on, and the next one tries again
# Seconds of waiting between tries: a storage that has the file only now, a check for robots, or a network that is not
# up yet when a laptop wakes is no end of an address.
_GONE_AFTER = 30.0
_LONGEST_TRY = 360.0  # seconds; what seems to have taken longer is this process's own sleep
_STEP = 1.0  # seconds between two looks whether there is still time
_SLOW = 3  # failures in a row


class _NotNow(Exception):
    """A paid address is left to the next run."""


class Ended(Enum):
    """What became of one claim, as far as the runner cares."""

    SETTLED = "settled"
    NO_BUDGET = "no budget"
    LEFT_FOR_RECOVERY = "left for recovery"


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


class Wire:
    """What waits for the other side: the only part of a claim that may be given up."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Task[object]] = set()

    async def wait(self, wire: Coroutine[object, object, T]) -> T:
        """Await the other side."""
        flight = asyncio.current_task()
        if flight is None:
            return await wire
        self._waiting.add(flight)
        try:
            return await wire
        finally:
            self._waiting.discard(flight)

    def give_up(self) -> None:
        """Cancel all that waits."""
        for flight in self._waiting:
            flight.cancel()


@dataclass(frozen=True, slots=True)
class Means:
    """What one job's calls and deliveries have in common.

    Attributes:
        stop: told why no new call may be made.
        onward: where a task may go that this route cannot deliver.
        explain: told what a person must know now, and again when the run has ended.
    """

    contract: Contract
    rules: Rules
    books: Bookkeeper
    hand: Hand
    clock: Clock
    uniform: Uniform
    emit: Listener
    stop: Callable[[str], None]
    onward: Callable[[Claim], NextRoutes] = lambda _claim: NOWHERE
    explain: Callable[[str], None] = lambda _text: None


class Delivery:
    """Brings what is paid into the output folder and settles its task."""

    def __init__(self, means: Means, index: ImageIndex) -> None:
        self.patience = _PATIENCE  # seconds for one address; none once the run is to end
        self.over = False  # no time is left for any address, because a start has waited for them long enough
        self.wire = Wire()
        self._means = means
        self._index = index
        self._backoff = Backoff(base=1.0, cap=15.0)

    async def fetch(self, claim: Claim, paid: Paid, url: str, expires: float) -> Ended:
        """Go on with a paid address: download, check, place, settle. Makes no call."""
        attempt = paid.attempt
        try:
            picture = await self.wire.wait(self._download(claim, attempt, url, expires))
        except asyncio.CancelledError:
            return Ended.LEFT_FOR_RECOVERY
        except _NotNow as error:
            self._means.books.tally.unfetched += 1
            self._means.emit(Notice(f"{claim.key}: {error}; the next run tries again, without a call"))
            return Ended.LEFT_FOR_RECOVERY
        except StoreError as error:
            self._means.stop(f"{error}. The address is in the books; the next run fetches it without a call")
            return Ended.LEFT_FOR_RECOVERY
        if isinstance(picture, str):
            self._means.books.tally.unfetched += 1
            await self._means.books.settle(claim, attempt, expired(picture), Park(picture))
            self._means.hand.clear(attempt)
            return Ended.SETTLED
        if picture.damage:
            await self._condemn(claim, attempt, Damaged(picture.damage, picture.file))
            self._means.hand.clear(attempt)
            return Ended.SETTLED
        return await self.place(claim, paid, picture)

    async def place(self, claim: Claim, paid: Paid, picture: Picture) -> Ended:
        """Check the image, put it into the output folder, settle the task, clear the spool."""
        attempt = paid.attempt
        try:
            placed = await self._means.hand.place(attempt, picture, claim.path, claim.revision)
        except StoreError as error:
            self._means.stop(f"{error}. The paid answer is kept in the spool; the next run places it without a call")
            return Ended.LEFT_FOR_RECOVERY
        if isinstance(placed, Damaged):
            await self._condemn(claim, attempt, placed)
        else:
            flags = await self._means.books.complete(claim, attempt, placed)
            now = self._means.clock.now()
            self._index.add(
                Delivered(paid.origin, placed, flags, attempt, paid.request_ids, paid.charge, paid.billed, now)
            )
        self._means.hand.clear(attempt)
        return Ended.SETTLED

    async def _condemn(self, claim: Claim, attempt: int, found: Damaged) -> None:
        """Settle a task whose paid image is set aside."""
        why = f"{found.reason}; the bytes are kept in {SPOOL}/{found.kept}"
        if found.sure:
            outcome = damaged(why)
            decision = decide(outcome, claim, self._means.rules, self._means.uniform)
        else:
            outcome = unchecked(why)
            decision = Park(f"paid, but its image could not be checked ({why})")
        await self._means.books.settle(claim, attempt, outcome, decision)

    async def keep_damaged(self, answer: Answer, but: Picture | None = None) -> None:
        """Set aside what an answer brought and is not delivered: paid bytes are not thrown away, whatever they are.

        Of an answer that is delivered, `but` for that picture, only damaged ones are kept; the others are variants.
        """
        if 200 <= answer.status < 300:
            for picture in answer.pictures:
                if picture.size and (picture.damage or but is None):
                    kept = await self._means.hand.keep(picture)
                    self._means.emit(
                        Notice(f"attempt {answer.attempt}: {picture.damage or 'cut'}; its bytes are in {SPOOL}/{kept}")
                    )

    async def _download(self, claim: Claim, attempt: int, url: str, expires: float) -> Picture | str:
        """The picture, or why it can never be had. Retries are downloads, never calls.

        Raises:
            _NotNow: this run has waited long enough for it.
            StoreError: the bytes could not be written.
        """
        clock, tally = self._means.clock, self._means.books.tally
        failures, slow, waited, rested, overdue = 0, 0, 0.0, 0.0, 0.0
        try:
            while not self.over:
                begun = clock.monotonic()
                download = await self._means.hand.download(attempt, url, self._means.contract.key_env)
                if download.picture is not None:
                    return download.picture
                failures += 1
                delay = self._backoff.delay(failures, self._means.uniform)
                waited += min(clock.monotonic() - begun, _LONGEST_TRY) + delay
                rested += delay
                if download.fetch is Fetch.REFUSED or (download.fetch is Fetch.GONE and rested > _GONE_AFTER):
                    return f"paid, but its address cannot be fetched: {download.detail}"
                overdue += delay if clock.now() + delay >= expires else 0.0
                if overdue > _GONE_AFTER:
                    return f"paid, but its address expired before it could be fetched: {download.detail}"
                if waited >= self.patience:
                    raise _NotNow(f"a paid image cannot be fetched now ({download.detail})")
                if failures == _SLOW:
                    slow = 1
                    tally.slow += slow
                    self._means.emit(
                        Notice(f"{claim.key}: a paid image is slow to download ({download.detail}); trying on")
                    )
                await self._rest(delay)
            raise _NotNow("there was no time left to fetch a paid image")
        finally:
            tally.slow -= slow

    async def _rest(self, seconds: float) -> None:
        """Sleep, but not much past the time that is left for all addresses."""
        while seconds > 0 and not self.over:
            await self._means.clock.sleep(min(seconds, _STEP))
            seconds -= _STEP
