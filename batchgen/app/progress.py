"""What a running job looks like in numbers, kept up to date by its events."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from batchgen.domain.clock import Clock
from batchgen.domain.events import (
    CallEnded,
    CallStarted,
    GatewayBack,
    GatewayDown,
    GatewayEvent,
    GatewayGivenUp,
    ImageDelivered,
    LanePaused,
    Notice,
    RunEvent,
    RunStopped,
)
from batchgen.domain.lifecycle import TaskState
from batchgen.domain.model import OutcomeKind

_WINDOW = 600.0
_STATES = {
    TaskState.COMPLETED: "done",
    TaskState.RUNNING: "running",
    TaskState.AVAILABLE: "waiting",
    TaskState.RETRYABLE: "waiting",
    TaskState.FAILED: "failed",
    TaskState.PARKED: "parked",
}


@dataclass(slots=True)
class Row:
    """One size: how many images stand where."""

    done: int = 0
    running: int = 0
    waiting: int = 0
    failed: int = 0
    parked: int = 0

    def add(self, state: TaskState, count: int) -> None:
        """Count tasks in; cancelled ones are nobody's concern."""
        name = _STATES.get(state)
        if name is not None:
            setattr(self, name, getattr(self, name) + count)


@dataclass(slots=True)
class Progress:
    """The state of a run as a person watches it. Money in micro-dollars."""

    clock: Clock
    job: str
    budget: int | None
    rows: dict[str, Row] = field(default_factory=dict)
    billed: int = 0
    maybe: int = 0
    calls: int = 0
    delivered: int = 0
    last_problem: str = ""
    pause: str = ""
    stopping: str = ""
    started: float = 0.0
    _pause_until: float = 0.0
    _recent: deque[float] = field(default_factory=deque)
    _down: dict[str, int] = field(default_factory=dict)

    def on_event(self, event: RunEvent) -> None:
        """Take one event in."""
        match event:
            case CallStarted(claim):
                self._move(str(claim.size), TaskState.AVAILABLE, TaskState.RUNNING)
                self.calls += 1
            case CallEnded(claim):
                self._ended(event, str(claim.size))
            case ImageDelivered(claim):
                self._move(str(claim.size), TaskState.RUNNING, TaskState.COMPLETED)
                self.delivered += 1
                self._recent.append(self.clock.monotonic())
            case LanePaused() | GatewayDown() | GatewayBack() | GatewayGivenUp():
                self._wait(event)
            case Notice():
                pass  # said once, when it comes
            case RunStopped(reason):
                self.stopping = reason

    def _wait(self, event: GatewayEvent) -> None:
        match event:
            case LanePaused(_, seconds, reason):
                self._pause_until = self.clock.monotonic() + seconds
                self.pause = f"the gateway asks for a pause of {seconds:.0f} s ({reason[:120]})"
            case GatewayDown(route):
                self._down[route] = self._down.get(route, 0) + 1
            case GatewayBack(route) | GatewayGivenUp(route):
                self._down[route] = self._down.get(route, 1) - 1

    def current_pause(self) -> str:
        """Say which pause a lane makes now; "" when none does."""
        down = [route for route, times in self._down.items() if times > 0]
        if down and not self.stopping:
            return f"{' and '.join(down)} is down; asked now and then whether it is back"
        return self.pause if self.clock.monotonic() < self._pause_until else ""

    def per_minute(self) -> float:
        """Say how many images came per minute over the last ten minutes."""
        now = self.clock.monotonic()
        while self._recent and self._recent[0] < now - _WINDOW:
            self._recent.popleft()
        elapsed = min(_WINDOW, max(1e-9, now - self.started))
        return 60.0 * len(self._recent) / elapsed

    def total(self) -> Row:
        """Add all sizes up."""
        names = ("done", "running", "waiting", "failed", "parked")
        return Row(**{name: sum(getattr(row, name) for row in self.rows.values()) for name in names})

    def finish(self) -> float | None:
        """Say when it will be done at this pace, in seconds since the epoch; None without a pace or a way on."""
        if self.stopping:
            return None
        pace, total = self.per_minute(), self.total()
        left = total.running + total.waiting
        return self.clock.now() + 60.0 * left / pace if pace and left else None

    def _ended(self, event: CallEnded, size: str) -> None:
        self.billed += event.billed
        self.maybe += event.maybe
        if event.becomes is not None:
            self._move(size, TaskState.RUNNING, event.becomes)
            if self.stopping and event.outcome.kind is OutcomeKind.NOT_SENT:
                return  # what the stop itself kept back is no problem
            name = f"{event.claim.key}/{size}/{event.claim.sample}"
            detail, then = event.outcome.detail, event.then  # what becomes of a task for good says why, mostly in full
            self.last_problem = f"{name}: {then[:240] if detail in then else f'{detail[:160]} ({then[:80]})'}"

    def _move(self, size: str, before: TaskState, after: TaskState) -> None:
        row = self.rows.setdefault(size, Row())
        row.add(before, -1)
        row.add(after, 1)
