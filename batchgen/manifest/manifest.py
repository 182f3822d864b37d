"""A manifest, read and checked, without its prompts: the job, and where its prompts come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from batchgen.contracts.contract import Contract
from batchgen.domain.errors import Problem
from batchgen.domain.job import JobSpec, Variant
from batchgen.manifest.fallbacks import FallbackRoute
from batchgen.manifest.prompts.prompt_source import PromptSource
from batchgen.manifest.survey.risky_terms import RiskyTerms


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest that passed every check but those that need its rows.

    Attributes:
        shown: the file as the user named it.
        contract: the route's, with what the manifest changes about it; the timeout among that.
        route: as it is written, a name or a mapping.
        fallbacks: routes that tasks may go on with, in order; the one that rescues 4K is the last.
        variants: of all prompts together; `variant_sets` holds what each source takes of them.
        warnings: what is allowed but doubtful.
        risky_terms: words to be warned of in texts; None for none.
    """

    shown: str
    contract: Contract
    route: str | Mapping[str, Any]
    fallbacks: tuple[FallbackRoute, ...]
    job: JobSpec
    sources: tuple[PromptSource, ...]
    variants: tuple[Variant, ...]
    variant_sets: tuple[tuple[int, ...], ...]
    warnings: tuple[Problem, ...]
    risky_terms: RiskyTerms | None = None

    @property
    def source_hash(self) -> str:
        """A hash that is equal for two readings that would expand to the same prompts; known without expanding."""
        return self.job.source_hash
