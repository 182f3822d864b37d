"""The states of a task and of money, and every legal move, as data.

The schema's CHECKs, the diagram in the documentation and the tests read these same tables.
"""

from __future__ import annotations

from enum import StrEnum


class TaskState(StrEnum):
    """Where the work on what a task asks stands, and what people see of it.

    A delivered image stays the task's image until its successor is delivered, so what people see is `completed` as long
    as there is one, whatever the work is at.
    """

    AVAILABLE = "available"
    RUNNING = "running"
    RETRYABLE = "retryable"
    COMPLETED = "completed"
    FAILED = "failed"
    PARKED = "parked"
    CANCELLED = "cancelled"


class TaskEvent(StrEnum):
    """What moves a task."""

    RESERVE = "reserve"  # an attempt is written down, its money reserved
    COMPLETE = "complete"  # the image is in the output folder
    RETRY = "retry"  # again, at `scheduled_at`
    RELEASE = "release"  # again at once; the attempt does not count
    GIVE_BACK = "give_back"  # the gateway was down: its errors were none of the task's attempts
    FAIL = "fail"  # no automatic way on
    PARK = "park"  # a person must decide
    REQUEUE = "requeue"  # a person said: again
    REVISE = "revise"  # what is asked has changed
    ADOPT = "adopt"  # what is asked was delivered before: that image serves
    RECOVER = "recover"  # a kept answer turned out to hold the image
    CANCEL = "cancel"  # a person said: no more


class Charge(StrEnum):
    """What is known about the money of an attempt."""

    RESERVED = "reserved"
    BILLED = "billed"
    VOID = "void"
    UNKNOWN = "unknown"


class BatchState(StrEnum):
    """Where a batch of calls to a Batch API stands."""

    WRITTEN = "written"  # its attempts are reserved; it may or may not have been handed in
    SUBMITTED = "submitted"  # the gateway has it, under a known id
    ENDED = "ended"  # the gateway is done with it; its answers are being taken in
    CLOSED = "closed"  # every attempt of it is booked


_S, _E = TaskState, TaskEvent
_RESTING = frozenset(TaskState) - {_S.RUNNING}
TRANSITIONS: dict[TaskEvent, tuple[frozenset[TaskState], TaskState]] = {
    _E.RESERVE: (frozenset({_S.AVAILABLE, _S.RETRYABLE}), _S.RUNNING),
    _E.COMPLETE: (frozenset({_S.RUNNING}), _S.COMPLETED),
    _E.RETRY: (frozenset({_S.RUNNING}), _S.RETRYABLE),
    _E.RELEASE: (frozenset({_S.RUNNING}), _S.AVAILABLE),
    _E.GIVE_BACK: (frozenset({_S.AVAILABLE, _S.RETRYABLE, _S.FAILED, _S.PARKED}), _S.AVAILABLE),
    _E.FAIL: (frozenset({_S.RUNNING}), _S.FAILED),
    _E.PARK: (frozenset({_S.RUNNING}), _S.PARKED),
    _E.REQUEUE: (frozenset({_S.FAILED, _S.PARKED, _S.CANCELLED}), _S.AVAILABLE),
    _E.REVISE: (_RESTING, _S.AVAILABLE),
    _E.ADOPT: (_RESTING, _S.COMPLETED),
    _E.RECOVER: (_RESTING - {_S.COMPLETED}, _S.COMPLETED),
    _E.CANCEL: (frozenset({_S.AVAILABLE, _S.RETRYABLE, _S.FAILED, _S.PARKED}), _S.CANCELLED),
}

CHARGE_MOVES: dict[Charge, frozenset[Charge]] = {
    Charge.RESERVED: frozenset({Charge.BILLED, Charge.VOID, Charge.UNKNOWN}),
    Charge.UNKNOWN: frozenset({Charge.BILLED, Charge.VOID}),
    Charge.BILLED: frozenset(),
    Charge.VOID: frozenset(),
}

WAITING = frozenset({_S.AVAILABLE, _S.RETRYABLE, _S.RUNNING})


def next_state(state: TaskState, event: TaskEvent) -> TaskState:
    """Return the state of a task after an event.

    Raises:
        ValueError: the event is not legal in that state.
    """
    sources, target = TRANSITIONS[event]
    if state not in sources:
        raise ValueError(f"a task that is {state} cannot {event}")
    return target
