"""Every file and fetched address that prompts name: looked for once, known by the first prompt that names it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from batchgen.domain.errors import Problem
from batchgen.domain.inputs import InputFile, InputUse, is_address
from batchgen.manifest.problems import Problems
from batchgen.manifest.prompts.prompt_source import PromptDraft, PromptSource


@dataclass(slots=True)
class _Use:
    """What prompts use one file for; see `InputUse`.

    Attributes:
        where: the first prompt that names it: a problem without a message.
        gone: whether it is not there, which has been said.
    """

    where: Problem
    shares: set[int] = field(default_factory=set)
    exact: bool = False
    mask: bool = False
    gone: bool = False


class InputFiles:
    """The files of a manifest, and the addresses that are fetched, in the order in which they are named first."""

    def __init__(self) -> None:
        self._uses: dict[str, _Use] = {}
        self._pairs: dict[tuple[str, str], Problem] = {}  # first reference and mask

    def __len__(self) -> int:
        return len(self._uses)

    def __iter__(self) -> Iterator[InputUse]:
        for place, use in self._uses.items():
            if not use.gone:
                yield InputUse(place, frozenset(use.shares), use.exact, use.mask)

    def add(self, source: PromptSource, draft: PromptDraft, problems: Problems) -> None:
        """Note the files of one prompt; a file that is not there is a problem of the first prompt that names it."""
        places, keys = draft.places, source.inputs.templates if source.inputs is not None else ()
        by_gateway = source.inputs is None or source.inputs.fetched_from is None
        for number, (key, place) in enumerate(zip(keys, places.references, strict=False)):  # the mask is its own
            if by_gateway and is_address(place):
                continue
            use = self._uses.get(place) or self._first(source, draft, key, place, problems)
            if places.mask and number == 0:
                use.exact = True
            else:
                use.shares.add(len(places.references))
        if places.mask and not (by_gateway and is_address(places.mask)):
            use = self._uses.get(places.mask) or self._first(source, draft, "mask", places.mask, problems)
            use.mask = True
            if not (by_gateway and is_address(places.references[0])):
                self._pairs.setdefault((places.references[0], places.mask), _where(source, draft, "mask"))

    def check(self, looked: Mapping[str, InputFile], wrong: Mapping[str, str], problems: Problems) -> None:
        """Note what is wrong with files that were looked at, and masks of another size than what they mask."""
        for place, use in self._uses.items():
            if place in wrong:
                self._refuse(use.where, place, wrong[place], problems)
        for (reference, mask), where in self._pairs.items():
            under, over = looked.get(reference), looked.get(mask)
            if under and over and (under.width, under.height) != (over.width, over.height):
                sizes = f"{over.width}x{over.height}, but {reference} has {under.width}x{under.height}"
                problems.add(_said(where, f"{mask} has {sizes}; make them the same"), like=f"{where.key} sizes")

    def refreshed(self, before: Mapping[str, InputFile], now: Mapping[str, InputFile]) -> list[Problem]:
        """Tell of addresses with other content behind them than before, by the first prompt that names each."""
        said = "has other content now; what is still to be bought is made from it, what is delivered stays as it is"
        return [
            _said(use.where, f"{place} {said}")
            for place, use in self._uses.items()
            if is_address(place) and place in before and place in now and before[place].sha256 != now[place].sha256
        ]

    def _first(self, source: PromptSource, draft: PromptDraft, key: str, place: str, problems: Problems) -> _Use:
        use = self._uses[place] = _Use(_where(source, draft, key))
        if is_address(place):
            return use
        try:
            if source.inputs is not None:
                source.inputs.root.state(place)
        except ValueError as error:
            self._refuse(use.where, place, str(error), problems)
            use.gone = True
        return use

    @staticmethod
    def _refuse(where: Problem, place: str, why: str, problems: Problems) -> None:
        problems.add(_said(where, f"{place}: {why}"), like=f"{where.key} {why}")


def _where(source: PromptSource, draft: PromptDraft, key: str) -> Problem:
    at = draft.line, draft.column
    line, column = at if source.inputs is None else source.inputs.spots.get(key, at)
    return Problem(source.shown, line, column, f"{source.entry}.{key}", "")


def _said(where: Problem, message: str) -> Problem:
    return Problem(where.file, where.line, where.column, where.key, message)
