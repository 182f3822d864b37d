"""What is allowed in a prompt's text and hardly meant: a resolution that no text decides, a term that was called risky.

Only warnings: a shop may sell a 4K monitor, and know what it does with a name.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from batchgen.contracts.contract import Contract
from batchgen.domain.errors import Problem
from batchgen.domain.job import Variant
from batchgen.domain.lifecycle import Charge
from batchgen.domain.model import OutcomeKind
from batchgen.manifest.problems import Problems
from batchgen.manifest.prompts.prompt_source import PromptSource
from batchgen.manifest.survey.risky_terms import RiskyTerms

# A set of first letters and then what must surround it, because such a search passes over the rest of a text fast.
# Not meant are parts of a longer code (A4K2, SKU-4K), amounts ($4K, 1.4K) and things that are 4K themselves.
_CLAIM = re.compile(
    r"[48４８uU超](?:"
    r"(?<=[48４８])(?<![0-9A-Za-z_.,$€£¥-][48４８])\s?[kKｋＫ](?![0-9A-Za-z_])(?!-\d)"
    r"(?!\s?(?i:tvs?\b|telev|monitor|display|screen|camera|webcam|projector|电视|显示|摄像|相机|投影))"
    r"|(?<=[uU])(?<![0-9A-Za-z_-][uU])(?i:hd|ltra[ -]?(?:hd|high[ -](?:definition|resolution|res)))(?![0-9A-Za-z_])"
    r"|(?<=超)高清)"
)
_EIGHT = frozenset("8８")

Look = Callable[[int, int, str], None]


class Lint:
    """Reads every text once, beside everything else that is read of a row.

    Attributes:
        warnings: what was found, those that are alike counted.
    """

    def __init__(self, contract: Contract, variants: tuple[Variant, ...], terms: RiskyTerms | None) -> None:
        self.warnings = Problems()
        self._route = contract.route
        self._sized = contract.sizes.kind != "none"
        self._variants = variants
        self._terms = terms
        costly = contract.charges[OutcomeKind.REFUSED_TEXT] is Charge.BILLED
        self._may = f"a refusal may be charged on {contract.route}" if costly else "it may be refused"

    def look(self, source: PromptSource, sizes: tuple[int, ...]) -> Look:
        """Make what looks at the texts of one source, each given with its line and column; `sizes` are its variants."""
        search, find = _CLAIM.search, self._terms.find if self._terms is not None else None
        tiers = {"auto" if size.is_auto else size.tier for size in (self._variants[number].size for number in sizes)}
        asks, all_4k = self._sized and tiers == {"auto"}, tiers == {"4K"}

        def look(line: int, column: int, text: str) -> None:
            claim = search(text)
            if claim is not None and not asks and not (all_4k and claim[0][0] not in _EIGHT):
                self._add(source, line, column, f'says "{claim[0]}", which does not change the size; {self._decides}')
            if find is not None and (term := find(text)) is not None:
                self._add(source, line, column, f"holds the term {term} of risky_terms; {self._may}")

        return look

    @property
    def _decides(self) -> str:
        return "it is decided by sizes:" if self._sized else f"{self._route} takes none"

    def _add(self, source: PromptSource, line: int, column: int, message: str) -> None:
        where = f"{source.entry}.text"
        self.warnings.add(Problem(source.shown, line, column, where, message), like=f"{where} {message}")
