"""What a manifest asks for, expanded: a job, its variants and a stream of prompts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from batchgen.domain.images_from import NOTHING_MORE, ImagesFrom
from batchgen.domain.inputs import NO_INPUTS, InputFile, Inputs
from batchgen.domain.size import Size


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a manifest may ask beside text and size; None leaves it to the gateway.

    Attributes:
        format: `png`, `jpeg` or `webp`; always known, because the file's ending depends on it.
    """

    quality: str | None = None
    background: str | None = None
    format: str = "png"


class FourK(StrEnum):
    """What to do when a 4K size fails at the gateway though nothing is wrong with what is asked."""

    DOWNGRADE = "downgrade"  # 2K of the same ratio at the first such failure
    RESCUE = "rescue"  # the same size over a route that holds it, once the attempts are used up
    RETRY = "retry"  # the same again, as after any other server error
    FAIL = "fail"  # at the first such failure


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a run may go.

    Attributes:
        concurrency: calls in flight at most.
        rate: calls per second at most; None for no limit.
        burst: calls that may go at once before `rate` holds them apart.
        attempts: paid calls per task at most, by itself.
        unknown: further automatic calls for a task after a lost answer.
        retry_paid: further automatic calls for a task after paid answers with nothing in them, or with broken bytes, at
            any price; None for one where such a call is cheap.
        unknown_total: lost answers after which the whole run stops; None for the larger of 10 and 5 % of its calls.
        patience: seconds for which a gateway that is down is waited for; None for until `until`, or for an hour.
        budget: micro-dollars the job may ever spend; None for no limit.
        budget_per_run: micro-dollars that each run of it may spend; None for no limit.
        until: local time of day, minutes after midnight, at which no new call is made; None for no limit.
    """

    concurrency: int = 32
    rate: float | None = None
    attempts: int = 3
    unknown: int = 1
    unknown_total: int | None = None
    budget: int | None = None
    until: int | None = None
    budget_per_run: int | None = None
    retry_paid: int | None = None
    burst: int = 1
    patience: float | None = None


@dataclass(frozen=True, slots=True)
class Variant:
    """One size and sample of the job; `number` counts from 0 within the expanded plan."""

    number: int
    size: Size
    sample: int


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt, as a manifest writes it or as a catalog row makes it.

    Attributes:
        position: 0-based place in the manifest's order.
        key: the id the user knows it by, NFC.
        path: output path below the output folder without ending or revision; `{size}`, `{sample}`, `{ratio}` and
            `{tier}` stand for what the variant fills in, and literal braces are doubled.
        overrides: parameters this prompt sets itself, as compact JSON with sorted keys; "" for none.
        own: hash of what this prompt alone asks (text and overrides), 63 bits.
        shared: hash of what the job asks for it (model and parameters it does not override), 63 bits.
        variant_set: index into the plan's `variant_sets`.
        inputs: reference images and mask; their content is part of `own`.
    """

    position: int
    key: str
    text: str
    path: str
    overrides: str
    own: int
    shared: int
    variant_set: int
    inputs: Inputs = NO_INPUTS


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A job as its manifest describes it, without its prompts.

    Attributes:
        route: `provider/model` or `provider/model@group`.
        output: absolute output folder.
        fallback: routes to go on with, in order, where one cannot deliver.
        fallback_on_refusal: whether a refusal of content is such a case.
        source_hash: hash of the manifest's and the catalogs' bytes and of the contract; equal means nothing to compare.
        images_from: where references may be fetched from beside public https addresses.
        priced_by_text: whether a longer text makes a call dearer, on one of its routes.
    """

    name: str
    route: str
    model: str
    manifest: Path
    output: Path
    parameters: Parameters
    limits: Limits
    four_k: FourK
    source_hash: str
    fallback: tuple[str, ...] = ()
    fallback_on_refusal: bool = False
    images_from: ImagesFrom = NOTHING_MORE
    priced_by_text: bool = True


class Plan(Protocol):
    """A whole manifest, expanded as a stream that can be read more than once."""

    job: JobSpec
    variants: tuple[Variant, ...]
    variant_sets: tuple[tuple[int, ...], ...]

    def prompts(self) -> Iterator[Prompt]:
        """Yield every prompt in order, made anew at each call and never all in memory."""
        ...

    def files(self) -> Iterator[InputFile]:
        """Yield every reference and mask of these prompts once, as it was looked at; call it after `prompts`."""
        ...

    def unchanged(self, files: Iterable[InputFile]) -> bool:
        """Say whether these files are on disk as they were."""
        ...


@dataclass(frozen=True, slots=True, order=True)
class Ask:
    """What decides the price of a call beside its text: size, quality ("" when the gateway chooses), input images."""

    size: Size
    quality: str = ""
    images: int = 0


@dataclass(frozen=True, slots=True)
class Texts:
    """How long some texts are together, and the longest of them, in bytes of UTF-8."""

    total: int = 0
    longest: int = 0

    def __add__(self, other: Texts) -> Texts:
        return Texts(self.total + other.total, max(self.longest, other.longest))


@dataclass(frozen=True, slots=True)
class Difference:
    """A plan compared with the ledger, counted in tasks (one image each).

    Attributes:
        tasks: of the plan.
        adopted: tasks that an image serves which was bought for the same before; no call is made for them.
        rebuy: delivered tasks that a job-wide key has changed; bought again only on command.
        buy: calls of one each that a run would make now, by what is asked, after this comparison.
        texts: of these calls, one for each.
        under_way: tasks of the plan whose call or batch has no end in the books yet; their money is set aside already.
        waiting: failed or parked tasks of the plan that wait for `retry`.
        delivered: tasks of the plan whose image is there and stays.
        again: of `buy`, the calls for tasks that have an image: it stays until the new one is there.
        paid: micro-dollars that were paid for those images.
        returned: tasks, by their numbers in the ledger, that get an earlier image back.
        lost: paths of earlier images that would serve again, but are gone or damaged.
        examples: up to five prompt keys for each of `new`, `changed`, `adopted`, `removed`, `rebuy`.
        prompts_before: prompts the ledger knew and still wanted before.
        prompts_gone: of these, how many the plan no longer has.
    """

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    tasks: int = 0
    adopted: int = 0
    rebuy: int = 0
    buy: dict[Ask, int] = field(default_factory=dict)
    texts: dict[Ask, Texts] = field(default_factory=dict)
    under_way: int = 0
    waiting: int = 0
    delivered: int = 0
    again: dict[Ask, int] = field(default_factory=dict)
    paid: int = 0
    returned: tuple[int, ...] = ()
    lost: tuple[str, ...] = ()
    examples: dict[str, list[str]] = field(default_factory=dict)
    prompts_before: int = 0
    prompts_gone: int = 0

    @property
    def calls(self) -> int:
        """How many tasks a run would buy now."""
        return sum(self.buy.values())


def output_path(pattern: str, size: Size, sample: int) -> str:
    """Fill a variant into a prompt's `path`: the output path of one task.

    The size is the one asked for, also after a downgrade, so that a path never depends on what was delivered.

    >>> output_path("mug/{size}-{sample}", Size(2048, 2048), 1)
    'mug/2048x2048-1'
    """
    ratio, _, tier = size.name.partition("@")
    return pattern.format(size=str(size), sample=sample, ratio=ratio.replace(":", "x"), tier=tier or size.tier)
