"""The references and the mask of an entry, held against what its route takes."""

from __future__ import annotations

from collections.abc import Callable

from batchgen.contracts.contract import Contract
from batchgen.contracts.serving import input_objection
from batchgen.files.input_root import InputRoot
from batchgen.manifest.places import InputTemplates, is_address, read_place
from batchgen.manifest.reading import Loc, Reading
from batchgen.manifest.schema import CatalogPrompt, WrittenPrompt
from batchgen.manifest.template import Template

Compile = Callable[[Loc, WrittenPrompt, str], Template | None]


def read_inputs(
    reading: Reading, contract: Contract | None, root: InputRoot, loc: Loc, prompt: WrittenPrompt, template: Compile
) -> InputTemplates | None:
    """The input images of an entry; None for none. What is wrong is noted and left out.

    Args:
        reading: the manifest.
        contract: its route's; None where that is wrong.
        root: the manifest's folder.
        loc: the entry.
        prompt: what stands there.
        template: makes a template of what stands at a place, or notes why not.
    """
    if prompt.mask and not prompt.references:
        reading.wrong((*loc, "mask"), "needs references: the first of them is the image that it masks")
    if not prompt.references:
        return None
    no_address = "" if contract is None else _check(reading, contract, loc, prompt)
    written: dict[str, Loc] = {
        f"references.{number}": (*loc, "references", number) for number in range(len(prompt.references))
    }
    if prompt.mask:
        written["mask"] = (*loc, "mask")
    templates: dict[str, Template] = {}
    for (key, at), text in zip(written.items(), (*prompt.references, prompt.mask), strict=False):
        made = template(at, prompt, text)
        if made is not None and _is_right(reading, at, prompt, text, no_address):
            templates[key] = made
    if not templates.keys() - {"mask"}:
        return None
    in_rows = isinstance(prompt, CatalogPrompt)
    spots = {} if in_rows else {key: reading.place(written[key]) for key in templates}
    return InputTemplates(root, templates, spots, no_address)


def _check(reading: Reading, contract: Contract, loc: Loc, prompt: WrittenPrompt) -> str:
    """Notes what the route has against them; why it takes no addresses, "" where it does."""
    count = len(prompt.references)
    if (words := input_objection(contract, count, mask=False, addresses=False)) is not None:
        reading.wrong((*loc, "references"), words)
    if prompt.mask and (words := input_objection(contract, 0, mask=True, addresses=False)) is not None:
        reading.wrong((*loc, "mask"), words)
    return input_objection(contract, 0, mask=False, addresses=True) or ""


def _is_right(reading: Reading, at: Loc, prompt: WrittenPrompt, text: str, no_address: str) -> bool:
    """Whether what is known without a row is right; a row finds the rest."""
    open_ended = isinstance(prompt, CatalogPrompt) and ("{{" in text or "{%" in text)
    beginning = text.strip()
    if no_address and is_address(beginning.lower()):
        reading.wrong(at, no_address)
        return False
    if not open_ended:
        try:
            read_place(beginning)
        except ValueError as error:
            reading.wrong(at, str(error))
            return False
    return True
