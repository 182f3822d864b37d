"""The references and the mask of an entry: templates of places, held against what its route takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from batchgen.contracts.contract import Contract
from batchgen.contracts.serving import input_objection
from batchgen.files.input_root import InputRoot
from batchgen.manifest.document.document import Document
from batchgen.manifest.document.schema import CatalogPrompt, WrittenPrompt
from batchgen.manifest.document.validate import Loc
from batchgen.manifest.prompts.input_places import is_address, read_place
from batchgen.manifest.templates.template import Template


@dataclass(frozen=True, slots=True)
class InputTemplates:
    """The references and the mask of an entry, before its rows are filled in.

    Attributes:
        root: where files are.
        templates: by their keys below the prompt, `references.0` and so on; the mask is the last, as `mask`.
        spots: line and column of each; empty for a catalog, whose rows are named instead.
        no_address: why the route takes no https addresses, "" where it does.
    """

    root: InputRoot
    templates: Mapping[str, Template]
    spots: Mapping[str, tuple[int, int]]
    no_address: str

    @property
    def uses_row(self) -> bool:
        """Whether a template needs `row`."""
        return any(template.uses_row for template in self.templates.values())

    def fill(self, template: Template, names: Mapping[str, Any]) -> str:
        """Work out the place that a template comes to for one row.

        Raises:
            ValueError: it comes to none, or to one that the route does not take; one clear sentence.
        """
        text = template.render(names).strip()
        if not text:
            empty = " and ".join(name for name in template.names if not str(names.get(name, name)).strip())
            raise ValueError(f"comes to nothing: {empty or 'a cell'} is empty in this row")
        place = read_place(text)
        if self.no_address and is_address(place):
            raise ValueError(self.no_address)
        return place


Compile = Callable[[Loc, WrittenPrompt, str], Template | None]


def read_inputs(
    document: Document, contract: Contract | None, root: InputRoot, loc: Loc, prompt: WrittenPrompt, template: Compile
) -> InputTemplates | None:
    """Read the input images of an entry; None for none. What is wrong is noted and left out.

    Args:
        document: the manifest.
        contract: its route's; None where that is wrong.
        root: the manifest's folder.
        loc: the entry.
        prompt: what stands there.
        template: makes a template of what stands at a place, or notes why not.
    """
    if prompt.mask and not prompt.references:
        document.wrong((*loc, "mask"), "needs references: the first of them is the image that it masks")
    if not prompt.references:
        return None
    no_address = "" if contract is None else _check(document, contract, loc, prompt)
    written: dict[str, Loc] = {
        f"references.{number}": (*loc, "references", number) for number in range(len(prompt.references))
    }
    if prompt.mask:
        written["mask"] = (*loc, "mask")
    templates: dict[str, Template] = {}
    for (key, at), text in zip(written.items(), (*prompt.references, prompt.mask), strict=False):
        made = template(at, prompt, text)
        if made is not None and _is_right(document, at, prompt, text, no_address):
            templates[key] = made
    if not templates.keys() - {"mask"}:
        return None
    in_rows = isinstance(prompt, CatalogPrompt)
    spots = {} if in_rows else {key: document.position(written[key]) for key in templates}
    return InputTemplates(root, templates, spots, no_address)


def _check(document: Document, contract: Contract, loc: Loc, prompt: WrittenPrompt) -> str:
    """Note what the route has against them, and return why it takes no addresses; "" where it does."""
    count = len(prompt.references)
    if (words := input_objection(contract, count, mask=False, addresses=False)) is not None:
        document.wrong((*loc, "references"), words)
    if prompt.mask and (words := input_objection(contract, 0, mask=True, addresses=False)) is not None:
        document.wrong((*loc, "mask"), words)
    return input_objection(contract, 0, mask=False, addresses=True) or ""


def _is_right(document: Document, at: Loc, prompt: WrittenPrompt, text: str, no_address: str) -> bool:
    """Check what is known without a row; a row finds the rest."""
    open_ended = isinstance(prompt, CatalogPrompt) and ("{{" in text or "{%" in text)
    beginning = text.strip()
    if no_address and is_address(beginning.lower()):
        document.wrong(at, no_address)
        return False
    if not open_ended:
        try:
            read_place(beginning)
        except ValueError as error:
            document.wrong(at, str(error))
            return False
    return True
