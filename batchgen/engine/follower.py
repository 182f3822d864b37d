"""Follows calls that a gateway takes in under a number, until their images are there. Looking costs nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, replace

from batchgen.domain.clock import sleep_or
from batchgen.domain.errors import ContractError, StoreError
from batchgen.domain.events import Notice
from batchgen.domain.following import Following, Stage
from batchgen.domain.model import Claim
from batchgen.domain.origin import Origin
from batchgen.domain.wire import Answer, Call, Look, NotKept
from batchgen.engine.hand import Hand
from batchgen.engine.job_run import JobRun
from batchgen.engine.route_keys import RouteKey
from batchgen.engine.routes import RouteRun
from batchgen.gateway.request import build_look

_SLOW = 3  # looks in a row that tell nothing, before that is said


@dataclass(frozen=True, slots=True)
class TakenIn:
    """A call that a gateway has taken in, as it is in the books.

    Attributes:
        number: under which the gateway works on it.
        operation: by which its answer is read.
        since: seconds since the epoch.
    """

    attempt: int
    number: str
    operation: str
    since: float
    origin: Origin
    request_ids: tuple[tuple[str, str], ...] = ()


class Follower:
    """Looks after calls that are in the books with their numbers.

    Attributes:
        followed: how many are looked after now.
        unseen: calls that no key here is shown, by route and the fingerprint of the key that handed them in.
    """

    def __init__(self, run: JobRun, hand: Hand) -> None:
        self.followed = 0
        self.unseen = Counter[tuple[str, str]]()
        self._run = run
        self._hand = hand

    async def follow(
        self, route: RouteRun, claim: Claim, taken: TakenIn, key: RouteKey
    ) -> Answer | NotKept | str | None:
        """Wait for the answer of a call, asking with the key that handed it in, or with another where that is not here.

        Return it; or why it is given up, as a clause; or None where it is left to the next run, which goes on with it,
        as it is where the gateway does not show the call to another key.
        """
        try:
            call = build_look(taken.attempt, taken.number, taken.operation, route.contract, taken.origin, key.env)
        except ContractError as error:
            return str(error)
        self.followed += 1
        try:
            own = key.fingerprint == taken.origin.key_fingerprint
            return await self._follow(route, claim, taken, call, call.following, own=own)
        except asyncio.CancelledError:
            self._leave()
            return None
        except StoreError as error:
            self._run.drain(f"{error}. The gateway works on; the next run asks again, without a call")
            return None
        finally:
            self.followed -= 1

    async def _follow(
        self, route: RouteRun, claim: Claim, taken: TakenIn, call: Call, rule: Following | None, *, own: bool
    ) -> Answer | NotKept | str | None:
        clock, silent = self._run.clock, 0
        while rule is not None:
            await sleep_or(clock, rule.every, self._run.leaving)
            if self._run.leaving.is_set():
                break
            look = await self._run.wire.wait(self._hand.look(route.name, call))
            late = clock.now() - taken.since > rule.patience
            if not own and (late or not _shows(look)):
                self.unseen[route.name, taken.origin.key_fingerprint] += 1
                return None
            if look.stage is not Stage.WAITING:
                return _finished(look.answer, taken, clock.now())
            if late:
                return f"the gateway still works on it as {taken.number}, after {rule.patience:g} s"
            silent = 0 if isinstance(look.answer, Answer) and 200 <= look.answer.status < 300 else silent + 1
            if silent == _SLOW and isinstance(look.answer, Answer):
                said = f"HTTP {look.answer.status}" if look.answer.status else look.answer.detail
                self._run.emit(
                    Notice(f"{claim.key}: {route.name} does not say how far {taken.number} is ({said}); trying on")
                )
        self._leave()
        return None

    def _leave(self) -> None:
        self._run.tally.working += 1


def _shows(look: Look) -> bool:
    """Tell whether a gateway shows a call to whoever asks."""
    answer = look.answer.answer if isinstance(look.answer, NotKept) else look.answer
    return 200 <= answer.status < 300


def _finished(answer: Answer | NotKept, taken: TakenIn, now: float) -> Answer | NotKept:
    """Tell of an answer what the first one told: when its call was made, and by which ids it is known."""
    if isinstance(answer, NotKept):
        return answer
    known = [each for each in taken.request_ids if each not in answer.request_ids]
    ids = (("task", taken.number), *known, *answer.request_ids)
    return replace(answer, request_ids=ids, sent_at=taken.since, total=max(0.0, now - taken.since))
