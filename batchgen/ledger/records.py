"""What the ledger hands out: its rows as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from batchgen.domain.inputs import Inputs
from batchgen.domain.job import Ask, Limits, Parameters
from batchgen.domain.lifecycle import Charge, TaskState
from batchgen.domain.model import Claim, OutcomeKind
from batchgen.domain.size import Size
from batchgen.domain.wire import Usage


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job and where it stands.

    Attributes:
        billed: micro-dollars known to be spent.
        unknown: micro-dollars that lost answers may have cost at most.
        reserved: micro-dollars set aside for calls under way.
        unpriced: calls that may have cost something nobody can name, because their route has no price.
        prompts: prompts of the manifest as last recorded.
        tasks: images of the manifest as last recorded.
        rebuy: delivered tasks that a job-wide key has changed since.
        states: tasks of the manifest by what people see of them; states without tasks are left out.
        work: the same by where the work on what is asked now stands.
        outdated: of the delivered ones, those whose image is to be replaced, or could not be.
        removed: tasks the manifest no longer has.
        created_at: seconds since the epoch, like `updated_at`.
    """

    id: int
    name: str
    route: str
    model: str
    manifest: Path
    output: Path
    parameters: Parameters
    limits: Limits
    downgrade: bool
    source_hash: str
    billed: int
    unknown: int
    reserved: int
    unpriced: int
    prompts: int
    tasks: int
    rebuy: int
    created_at: float
    updated_at: float
    states: Mapping[TaskState, int]
    work: Mapping[TaskState, int]
    outdated: int
    removed: int


@dataclass(frozen=True, slots=True)
class ImageRow:
    """An image as it was delivered; fields as in `batchgen.domain.output_image.Image`.

    Attributes:
        own, shared: hashes of what was asked, as in `batchgen.domain.job.Prompt`.
        flags: `downgraded`, `rerouted`, `size_mismatch`, `blank`, `duplicate`.
    """

    id: int
    task: int
    job: int
    attempt: int
    revision: int
    path: str
    sha256: str
    bytes: int
    width: int
    height: int
    format: str
    flags: tuple[str, ...]
    created_at: float
    own: int
    shared: int


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task with its prompt, its variant and its delivered image.

    Attributes:
        wanted: whether the manifest, as last recorded, still has it.
        send_size: what the next attempt asks for; differs from `size` after a downgrade.
        quality: what is asked, "" when the gateway chooses.
        images: input images that go with a call; `inputs` names them.
        path: output path below the output folder, without ending or revision; `pattern` has its placeholders.
        state: what people see: `completed` as long as there is an image.
        work: where the work on what is asked now stands.
        image: of this revision or, while that is not delivered, of an earlier one.
        cause: what came of the last attempt at its revision, as in `AttemptRow`; "" before any has an end.
        billed: micro-dollars known to be spent on it, over all revisions.
        unknown: micro-dollars its lost answers may have cost at most.
    """

    id: int
    job: int
    job_name: str
    key: str
    text: str
    size: Size
    send_size: Size
    sample: int
    quality: str
    images: int
    inputs: Inputs
    path: str
    pattern: str
    state: TaskState
    work: TaskState
    wanted: bool
    revision: int
    attempts: int
    unknowns: int
    calls: int
    scheduled_at: float | None
    reason: str
    cause: str
    updated_at: float
    billed: int
    unknown: int
    image: ImageRow | None

    @property
    def outdated(self) -> bool:
        """Whether it has an image, of what was asked before."""
        return self.image is not None and self.work is not TaskState.COMPLETED

    @property
    def flags(self) -> tuple[str, ...]:
        """What is to be said of its image: the image's own flags, and `outdated`."""
        found = self.image.flags if self.image is not None else ()
        return (*found, "outdated") if self.outdated else found

    @property
    def ask(self) -> Ask:
        """What decides its price, beside its text."""
        return Ask(self.size, self.quality, self.images)


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One paid call, as the books have it; fields as in `Reservation` and `Booking` of `batchgen.domain.model`.

    Attributes:
        number: counts from 1 within the task's revision.
        outcome: None while the call is under way.
        billed: micro-dollars; for an unknown charge the best guess.
        settled_note: who settled an unknown charge, and why.
        batch: the batch it was handed in with, None for a call of its own.
        run: the run that made it; None where that is not known.
        month: the local calendar month in which it was reserved, such as `2026-11`.
        cause: the stable name of what came of it; "" for calls of before causes were kept.
        remote_task: the number under which its gateway works on it; "" where that answers at once.
    """

    id: int
    task: int
    job: int
    revision: int
    number: int
    charge: Charge
    outcome: OutcomeKind | None
    estimated: int | None
    reserved: int
    billed: int
    provider: str
    route: str
    group: str
    model: str
    endpoint: str
    base_url: str
    size_asked: str
    size_sent: str
    quality: str
    request_hash: str
    price_basis: str
    billing_unit: str
    key_fingerprint: str
    reserved_at: float
    queued_for: float
    detail: str
    status: int
    request_ids: tuple[tuple[str, str], ...]
    usage: Usage | None
    outputs: int
    effective: tuple[tuple[str, str], ...]
    url: str
    url_expires: float
    sent_at: float
    first_byte: float
    total: float
    finished_at: float
    settled_note: str
    batch: int | None
    run: int | None
    month: str
    cause: str
    remote_task: str

    @property
    def at_most(self) -> int:
        """Micro-dollars it may have cost: what is billed, or while that is open what was set aside."""
        match self.charge:
            case Charge.BILLED:
                return self.billed
            case Charge.VOID:
                return 0
            case _:
                return max(self.billed, self.reserved)


@dataclass(frozen=True, slots=True)
class MonthRow:
    """What all jobs have spent in a local calendar month, in micro-dollars, by the attempts reserved in it.

    Attributes:
        name: such as `2026-11`.
    """

    name: str
    billed: int = 0
    unknown: int = 0
    reserved: int = 0

    @property
    def spent(self) -> int:
        """All that counts against a ceiling."""
        return self.billed + self.unknown + self.reserved


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A task that was under way when its run ended, and the attempt that holds it."""

    claim: Claim
    attempt: AttemptRow


@dataclass(frozen=True, slots=True)
class PaidCall:
    """An attempt that is booked, and its task as it stands now."""

    claim: Claim
    attempt: AttemptRow


@dataclass(frozen=True, slots=True)
class OpenTask:
    """A task that an attempt holds, and where its image goes.

    Attributes:
        output: the job's output folder.
        path: below it, without ending or revision.
    """

    job: int
    attempt: int
    revision: int
    output: Path
    path: str


@dataclass(frozen=True, slots=True)
class Spending:
    """Calls of one route, size and outcome, and their money.

    Attributes:
        outcome: None for calls under way.
        billed: micro-dollars known to be spent.
        unknown: micro-dollars that may have been spent at most.
    """

    route: str
    size: str
    outcome: OutcomeKind | None
    calls: int
    billed: int
    unknown: int


@dataclass(frozen=True, slots=True)
class Count:
    """Tasks of one size, quality and state.

    Attributes:
        state, work: as in `TaskRow`.
    """

    size: Size
    quality: str
    state: TaskState
    work: TaskState
    tasks: int


@dataclass(frozen=True, slots=True)
class TaskAttempt:
    """A call and whose it was; most of all one that did not bring what was asked."""

    key: str
    size: Size
    sample: int
    state: TaskState
    attempt: AttemptRow
