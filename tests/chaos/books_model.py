"""The ledger as a few lines of plain Python: the states, sums, counters and claims it should have after any verbs."""

from __future__ import annotations

from dataclasses import dataclass, field

from batchgen.domain.lifecycle import TRANSITIONS, Charge, TaskEvent, TaskState
from batchgen.domain.model import Settlement
from tests.support.ledger import PRICE

S = TaskState


@dataclass
class Task:
    """One wanted image."""

    key: str
    text: str
    state: TaskState = S.AVAILABLE
    wanted: bool = True
    revision: int = 1
    attempts: int = 0
    unknowns: int = 0
    calls: int = 0
    route: str = ""
    due: float | None = None
    holder: int | None = None
    last: int = 0
    images: dict[str, tuple[int, int]] = field(default_factory=dict)  # by text: their revision, and its calls

    def row(self) -> tuple[object, ...]:
        """As the table has it: what people see is completed from the first image on."""
        counts = (self.revision, self.last, self.attempts, self.unknowns, self.calls)
        seen = S.COMPLETED if self.images else self.state
        return (self.state.value, seen.value, int(self.wanted), *counts, self.route, self.due)

    def ask(self, text: str) -> None:
        """Another text is asked: an image that was bought for it serves, else the next revision begins."""
        self.attempts, self.unknowns, self.route, self.due = 0, 0, "", None
        self.text = text
        if text in self.images:
            self.state, (self.revision, self.calls) = S.COMPLETED, self.images[text]
        else:
            self.state, self.revision, self.calls = S.AVAILABLE, self.last + 1, 0


@dataclass
class Paid:
    """One attempt."""

    job: str
    key: str
    task: int
    charge: Charge = Charge.RESERVED
    amount: int = PRICE
    by_a_person: bool = False

    @property
    def at_most(self) -> int:
        """What a budget counts."""
        return max(PRICE, self.amount) if self.charge in {Charge.UNKNOWN, Charge.RESERVED} else self.amount


@dataclass
class Model:
    """Every job's tasks in the order in which their keys first came, and every attempt."""

    tasks: dict[str, dict[str, Task]] = field(default_factory=dict)
    paid: dict[int, Paid] = field(default_factory=dict)

    def spent(self, job: str) -> int:
        """What counts against a job's budget."""
        return sum(each.at_most for each in self.paid.values() if each.job == job)

    def sums(self, job: str) -> tuple[int, int, int]:
        """Billed, unknown, reserved."""
        found = dict.fromkeys(Charge, 0)
        for each in self.paid.values():
            found[each.charge] += each.at_most if each.job == job else 0
        return found[Charge.BILLED], found[Charge.UNKNOWN], found[Charge.RESERVED]

    def held(self, job: str) -> dict[int, str]:
        """What is running, by the attempts that hold it."""
        return {task.holder: task.key for task in self.tasks[job].values() if task.holder is not None}

    def claimable(self, job: str, now: float, routes: frozenset[str] | None) -> list[str]:
        """Keys of what may run, in order: retries as they fall due, then what was never tried."""
        mine = [each for each in self.tasks[job].values() if each.wanted and (routes is None or each.route in routes)]
        due = [task for task in mine if task.state is S.RETRYABLE and (task.due or 0.0) <= now]
        due.sort(key=lambda task: task.due or 0.0)
        return [task.key for task in due] + [task.key for task in mine if task.state is S.AVAILABLE]

    def reserve(self, job: str, key: str, number: int, attempt: int) -> None:
        """An attempt begins."""
        task = self.tasks[job][key]
        task.state, task.holder, task.due, task.calls = S.RUNNING, attempt, None, task.calls + 1
        task.last = task.revision
        self.paid[attempt] = Paid(job, key, number)

    def settle(self, task: Task, done: Settlement) -> None:
        """An attempt lets go of its task."""
        task.state, task.holder = TRANSITIONS[done.event][1], None
        task.due = done.scheduled_at if done.event is TaskEvent.RETRY else None
        if done.event is TaskEvent.COMPLETE:
            task.images[task.text] = task.revision, task.calls
        task.unknowns += done.lost
        if done.send_route is None:
            task.attempts += done.counts and done.event is not TaskEvent.RELEASE
        else:
            task.attempts, task.route = 0, done.send_route

    def move(self, job: str, event: TaskEvent, only: frozenset[str] | None) -> int:
        """A person decides; how many tasks that moves."""
        sources, target = TRANSITIONS[event]
        mine = [each for each in self.tasks[job].values() if each.wanted and (only is None or each.key in only)]
        chosen = [task for task in mine if task.state in sources]
        for task in chosen:
            task.state, task.due = target, None
            if event is TaskEvent.REQUEUE:
                task.attempts, task.unknowns, task.route = 0, 0, ""
        return len(chosen)

    def record(self, job: str, texts: dict[str, str]) -> None:
        """A manifest is run again, perhaps changed."""
        known = self.tasks.setdefault(job, {})
        for key, task in known.items():
            task.wanted = key in texts
            if key in texts and task.text != texts[key]:
                task.ask(texts[key])
        for key, text in texts.items():
            known.setdefault(key, Task(key, text))
