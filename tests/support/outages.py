"""A gateway that exists in numbers only and is down at times, and a whole run over it on virtual time."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast
from unittest import mock

from batchgen.contracts.catalog import load_catalog
from batchgen.domain.events import RunEvent
from batchgen.domain.inputs import Inputs
from batchgen.domain.job import FourK, Limits
from batchgen.domain.output_image import Image
from batchgen.domain.size import Size
from batchgen.domain.wire import Answer, ApiError, Call, CallEnd, Picture, PreparedInputs
from batchgen.engine.assembly import RouteSpec, assemble
from batchgen.engine.job_run import JobRun, Selection
from batchgen.engine.runner import Runner
from batchgen.ledger.ledger import Ledger
from batchgen.ledger.runs import NewRun
from tests.chaos.simulation.loop import SimClock, VirtualLoop
from tests.chaos.simulation.parts import SimDatabase
from tests.support.ledger import SMALL, SmallPlan, empty_ledger, query

ROUTE, OTHER = "apiyi/gpt-image-2-vip", "laozhang/gpt-image-2-vip"
LIMITS = Limits(concurrency=30)
ERROR = Answer(0, CallEnd.COMPLETE, status=500, is_json=True, error=ApiError("boom", code="server_error"))
PAGE = Answer(0, CallEnd.COMPLETE, status=502, excerpt="<html>bad gateway", content_type="text/html")
INSIDE = replace(ERROR, status=200)  # an error inside a success: it may have been charged
UNSENT = Answer(0, CallEnd.NOT_SENT, detail="no connection")


@dataclass
class FailingGateway:
    """Draws as a rule, and fails when it is told to.

    Attributes:
        fails: the chance that a call of the job's own route fails, by when it is sent and by its size.
        always: prompts that always fail.
        answer: what a failing call gets, after `took` seconds.
        draws: seconds that a picture takes, and how far that is left to chance.
        there: whether it answers what is free, by when.
        sent: when each call was sent, with its task, its size and whether it failed.
    """

    fails: Callable[[float, str], float] = lambda now, size: 0.0
    always: frozenset[str] = frozenset()
    answer: Answer = ERROR
    took: float = 1.0
    draws: tuple[float, float] = (60.0, 0.4)
    there: Callable[[float], bool] = lambda now: True
    dice: random.Random = field(default_factory=lambda: random.Random(7))
    sent: list[tuple[float, str, str, bool]] = field(default_factory=list)
    asked: list[float] = field(default_factory=list)

    async def send(self, route: str, call: Call) -> Answer:
        now, task, size = asyncio.get_running_loop().time(), call.origin.key, call.origin.size_sent
        chance = self.fails(now, size) if route == ROUTE else 0.0
        failed = task in self.always or self.dice.random() < chance
        self.sent.append((now, task, size, failed))
        if failed:
            await asyncio.sleep(self.took)
            return replace(self.answer, attempt=call.attempt, sent_at=now + 1, total=self.took)
        middle, spread = self.draws
        await asyncio.sleep(self.dice.lognormvariate(0.0, spread) * middle)
        return Answer(call.attempt, CallEnd.COMPLETE, status=200, is_json=True, pictures=(Picture("1-0", 100),))

    async def is_there(self, route: str, call: Call) -> bool:
        now = asyncio.get_running_loop().time()
        self.asked.append(now)
        await asyncio.sleep(0.2)
        return self.there(now)

    async def check_room(self, in_flight: int) -> None:
        pass

    async def prepare(self, inputs: Inputs, limits: object) -> PreparedInputs:
        return PreparedInputs()

    async def place(self, attempt: int, picture: Picture, path: str, revision: int) -> Image:
        return Image(f"{path}.png", f"{attempt:064x}", picture.size, 1280, 1280, "png")

    async def note_image(self, *images: object) -> None:
        pass

    async def clear(self, attempt: int) -> None:
        pass


@dataclass
class Night:
    """What a run came to.

    Attributes:
        stopped: why it began nothing new any more; None where all was done.
        lasted: virtual seconds.
        lost: answers that count against `limits.unknown_total`.
    """

    gateway: FailingGateway
    stopped: str | None
    lasted: float
    events: list[RunEvent]
    states: dict[str, int]
    delivered: dict[str, int]
    path: Path
    lost: int

    def calls(self, begin: float, end: float) -> int:
        """How many calls were sent between two moments."""
        return sum(begin <= at < end for at, *_ in self.gateway.sent)

    def of(self, kind: type) -> list[Any]:
        """The events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]


class _Books:
    """Commits at once, and is never killed."""

    dead = False

    def step(self, what: str) -> None:
        pass

    def soon(self) -> float:
        return 0.001

    def committed(self, verbs: list[str]) -> None:
        pass


def spend_night(
    folder: Path,
    gateway: FailingGateway,
    tasks: int,
    *,
    limits: Limits = LIMITS,
    sizes: tuple[Size, ...] = (SMALL,),
    four_k: FourK = FourK.RETRY,
    fallback: bool = False,
    until: float | None = None,
) -> Night:
    """Buy so many prompts in some sizes, from an empty ledger to the end of the run."""
    loop, events, path = VirtualLoop(0.0), list[RunEvent](), empty_ledger(folder / "ledger.db")
    plan = SmallPlan({f"p{number}": f"photo {number}" for number in range(tasks)}, sizes=sizes, limits=limits)
    names = (ROUTE, OTHER) if fallback else (ROUTE,)
    routes = [RouteSpec(replace(load_catalog().find(name), base_url="https://gateway.example/v1")) for name in names]
    dice = random.Random(3)

    async def run(ledger: Ledger) -> JobRun:
        job, clock = ledger.job(plan.job.name), SimClock(loop, 0.0)
        number = ledger.begin_run(NewRun(job, 1, "here"))
        of = JobRun(
            job,
            limits,
            Selection(),
            ledger,
            clock=clock,
            uniform=dice.uniform,
            listener=events.append,
            number=number,
        )
        runner = Runner(assemble(of, replace(plan.job, four_k=four_k), routes, cast("Any", gateway)))
        await runner.run(None if until is None else clock.now() + until)
        return of

    def database(*given: Any) -> SimDatabase:
        made = SimDatabase(_Books(), *given)  # type: ignore[arg-type]
        cast("Any", made._connection.connection).execute("PRAGMA synchronous = OFF")  # nothing is killed here
        return made

    with mock.patch("batchgen.ledger.ledger.Database", database), Ledger.open(path, SimClock(loop, 0.0)) as ledger:
        ledger.record(plan)  # type: ignore[arg-type]
        ended = loop.run_until_complete(run(ledger))
    lasted = loop.time()
    loop.close()
    states = Counter(str(state) for (state,) in query(path, "SELECT state FROM task"))
    delivered = dict(query(path, "SELECT a.size_sent, count(*) FROM image i JOIN attempt a ON a.id = i.id GROUP BY 1"))
    return Night(gateway, ended.stopped, lasted, events, dict(states), delivered, path, ended.tally.lost)
