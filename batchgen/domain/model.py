"""A task on its way: claimed, bought, judged, booked and settled. All values are frozen and small."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from batchgen.domain.inputs import NO_INPUTS, Inputs
from batchgen.domain.job import Parameters
from batchgen.domain.lifecycle import Charge, TaskEvent
from batchgen.domain.output_image import Image
from batchgen.domain.size import Size
from batchgen.domain.wire import Obstacle, Usage


@dataclass(frozen=True, slots=True)
class Claim:
    """One task taken from the queue, with all that is needed to buy it.

    Attributes:
        key: the prompt's id as the user wrote it.
        size: what the manifest asks for.
        send_size: what the next attempt asks for; differs after a downgrade.
        path: output path below the output folder, without ending or revision, `/` as separator.
        attempts: attempts so far in this revision that count against `limits.attempts`.
        unknowns: lost answers so far in this revision that count against `limits.unknown`.
        hollow: answers so far in this revision with nothing in them, or with broken bytes, that count against
            `limits.retry_paid`.
        calls: all attempts so far in this revision, counted or not.
        queued_at: since when it may run, seconds since the epoch.
        inputs: reference images and mask.
        send_route: what the next attempt goes to, "" for the job's own route; differs after a failover.
        own, shared: hashes of what is asked, as in `batchgen.domain.job.Prompt`.
        job_name: of the job; `pattern` is the output path with its placeholders, as in `batchgen.domain.job.Prompt`.
    """

    task: int
    job: int
    key: str
    text: str
    size: Size
    send_size: Size
    sample: int
    parameters: Parameters
    path: str
    revision: int
    attempts: int
    unknowns: int
    calls: int
    queued_at: float
    inputs: Inputs = NO_INPUTS
    send_route: str = ""
    own: int = 0
    shared: int = 0
    job_name: str = ""
    pattern: str = ""
    hollow: int = 0


class OutcomeKind(StrEnum):
    """What an answer means. The charge table of a contract and the policy are keyed by it."""

    DELIVERED = "delivered"  # an image or its address came
    NOT_SENT = "not_sent"  # certainly never left
    SEND_BROKEN = "send_broken"  # broke while being sent
    LOST = "lost"  # sent, no answer
    TIMED_OUT = "timed_out"  # sent, given up
    THROTTLED = "throttled"  # too many calls of ours, for now
    BUSY = "busy"  # too many calls of everybody's, for now
    NO_CHANNEL = "no_channel"  # the gateway has nobody behind it for this model
    QUOTA = "quota"  # no money or quota left
    UNAUTHORIZED = "unauthorized"  # the key was not accepted
    UNSERVED = "unserved"  # no such model, not for this key, or not at this address
    REJECTED = "rejected"  # parameters refused: 400, 404, 413, 422
    REFUSED = "refused"  # content refused by an error
    REFUSED_TEXT = "refused_text"  # content refused in words, with a 200
    SERVER_ERROR = "server_error"  # the gateway's own JSON error, 5xx
    EDGE_ERROR = "edge_error"  # a 5xx from something in front of the gateway
    EMPTY = "empty"  # 200 with nothing in it
    UNREAD = "unread"  # 200 with something in it that we cannot read
    ACCEPTED = "accepted"  # taken in, to be drawn later: a 202, or the id of a task
    DAMAGED = "damaged"  # 200 with bytes that are no image
    CUT = "cut"  # 200 that ended early
    OVERSIZED = "oversized"  # 200 that never seemed to end
    EXPIRED = "expired"  # paid, but the address died before it was fetched


KEPT_KINDS = frozenset({OutcomeKind.UNREAD, OutcomeKind.ACCEPTED})
"""Nobody can read the answer now, so it is kept, and the call is never made again by itself."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an answer means, in money and in words.

    Attributes:
        charge: what the contract says of this kind.
        retry_after: seconds; None when unknown.
        answered: whether the gateway itself answered; lost answers are the others.
        page: whether a web page came where a gateway answers, with a status that says that all is well, or that the
            key is not.
        moved: whether the address sends its callers elsewhere.
        inside: whether it is an error that came inside a success, as which it may have been charged.
        obstacle: what keeps calls from leaving until somebody acts; None for nothing known.
        cause: the stable name of what was said, such as `quota:insufficient_user_quota`, or of what happened; "" where
            the kind says it all.
    """

    kind: OutcomeKind
    charge: Charge
    detail: str
    retry_after: float | None = None
    answered: bool = True
    page: bool = False
    moved: bool = False
    inside: bool = False
    obstacle: Obstacle | None = None
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a call costs and where that figure comes from.

    Attributes:
        micros: micro-dollars; None when it is not known.
        upper: the most it can cost, what a budget reserves; None when not known.
        lower: the least a delivered image can cost where the gateway chooses size or quality, else as `micros`.
        basis: for the books: `per_call`, `tokens`, `estimate` or `unknown`, with the price table's date.
    """

    micros: int | None
    upper: int | None
    basis: str
    lower: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Reservation:
    """An attempt that is about to be made.

    Attributes:
        reserved: micro-dollars set aside, the upper bound of the call's price.
        budget: micro-dollars the job may ever spend; None for no limit.
        run: the run that makes it, None where there is none in the books.
        per_run: micro-dollars that this run may spend; None for no limit.
        monthly: micro-dollars that all jobs may spend in the local month of `reserved_at`; None for no limit.
    """

    task: int
    job: int
    revision: int
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
    estimated: int | None
    reserved: int
    price_basis: str
    billing_unit: str
    key_fingerprint: str
    reserved_at: float
    queued_for: float
    budget: int | None
    run: int | None = None
    per_run: int | None = None
    monthly: int | None = None


@dataclass(frozen=True, slots=True)
class Booking:
    """What an attempt turned out to cost, and the facts an auditor asks for.

    Attributes:
        billed: micro-dollars for `billed` (and the best guess for `unknown`); 0 for `void`.
        doubt: why what the gateway claims to have charged is not believed, "" where it is; not in the books by itself.
        url: a paid address not yet fetched, "" else.
        url_expires: seconds since the epoch; 0.0 when there is no address.
        cause: the stable name of what came of it, as in `Outcome`.
    """

    attempt: int
    charge: Charge
    billed: int
    kind: OutcomeKind
    detail: str
    status: int = 0
    request_ids: tuple[tuple[str, str], ...] = ()
    usage: Usage | None = None
    price_basis: str = ""
    doubt: str = ""
    outputs: int = 0
    effective: tuple[tuple[str, str], ...] = ()
    url: str = ""
    url_expires: float = 0.0
    sent_at: float = 0.0
    first_byte: float = 0.0
    total: float = 0.0
    finished_at: float = 0.0
    cause: str = ""


@dataclass(frozen=True, slots=True)
class GivenBack:
    """Attempts that a task gets back, because its gateway was down. In the books they stay, with their charge.

    Attributes:
        attempts: all of one revision, in order.
        send_size: what the first of them asked for, and the next one is to ask for again.
        send_route: where they went; a task that has gone on to another route since keeps what it has.
    """

    task: int
    attempts: tuple[int, ...]
    send_size: Size
    send_route: str


@dataclass(frozen=True, slots=True)
class Settlement:
    """Where a task goes after an attempt.

    Attributes:
        counts: whether the attempt counts against `limits.attempts`.
        lost: whether it counts against `limits.unknown`.
        hollow: whether it counts against `limits.retry_paid`.
        scheduled_at: for a retry, seconds since the epoch.
        send_size: for a downgrade, the size of the next attempt; None leaves it.
        send_route: for a failover, the route of the next attempt, which begins its counts anew; None leaves it.
        image: for a completion.
        flags: of the image: `downgraded`, `rerouted`, `size_mismatch`, `blank`, `duplicate`.
        outcome: what the booked attempt turned out to be after all (damaged, expired); None leaves what is booked.
    """

    task: int
    attempt: int
    event: TaskEvent
    reason: str = ""
    counts: bool = True
    lost: bool = False
    scheduled_at: float = 0.0
    send_size: Size | None = None
    send_route: str | None = None
    image: Image | None = None
    flags: tuple[str, ...] = field(default=())
    outcome: OutcomeKind | None = None
    hollow: bool = False
