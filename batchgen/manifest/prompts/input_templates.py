"""The references and the mask of an entry: templates of places, held against what its route takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from batchgen.contracts.contract import Contract
from batchgen.contracts.serving import input_objection
from batchgen.domain.images_from import ImagesFrom, entry_for
from batchgen.files.input_root import InputRoot
from batchgen.manifest.document.document import Document
from batchgen.manifest.document.schema import CatalogPrompt, WrittenPrompt
from batchgen.manifest.document.validate import Loc
from batchgen.manifest.prompts.input_places import BadPlace, read_place
from batchgen.manifest.templates.template import Template


@dataclass(frozen=True, slots=True)
class InputTemplates:
    """The references and the mask of an entry, before its rows are filled in.

    Attributes:
        root: where files are.
        templates: by their keys below the prompt, `references.0` and so on; the mask is the last, as `mask`.
        spots: line and column of each; empty for a catalog, whose rows are named instead.
        fetched_from: where what lies behind addresses is fetched from before it is sent, as the route takes files only;
            None where the gateway fetches it.
    """

    root: InputRoot
    templates: Mapping[str, Template]
    spots: Mapping[str, tuple[int, int]]
    fetched_from: ImagesFrom | None

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
        return _checked(text, self.fetched_from)


def _checked(text: str, fetched_from: ImagesFrom | None) -> str:
    """Return the place that a text is.

    Raises:
        BadPlace: it is none, or an address that nobody fetches.
    """
    place = read_place(text)
    if not place.startswith("http://"):
        return place
    if fetched_from is None:
        raise BadPlace(text, "is no https address, and the gateway fetches no others; write https://, or name a file")
    parts = urlsplit(place)
    host, port = parts.hostname or "", parts.port or 80
    if not fetched_from.allows("http", host, port):
        way = f'write https://, or allow it: images_from: ["{entry_for("http", host, port)}"]'
        raise BadPlace(text, f"is plain http, which is fetched only where that is allowed; {way}")
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
    fetched_from = None if contract is None else _check(document, contract, loc, prompt)
    written: dict[str, Loc] = {
        f"references.{number}": (*loc, "references", number) for number in range(len(prompt.references))
    }
    if prompt.mask:
        written["mask"] = (*loc, "mask")
    templates: dict[str, Template] = {}
    for (key, at), text in zip(written.items(), (*prompt.references, prompt.mask), strict=False):
        made = template(at, prompt, text)
        if made is not None and _is_right(document, at, prompt, text, fetched_from):
            templates[key] = made
    if not templates.keys() - {"mask"}:
        return None
    in_rows = isinstance(prompt, CatalogPrompt)
    spots = {} if in_rows else {key: document.position(written[key]) for key in templates}
    return InputTemplates(root, templates, spots, fetched_from)


def _check(document: Document, contract: Contract, loc: Loc, prompt: WrittenPrompt) -> ImagesFrom | None:
    """Note what the route has against them, and return where addresses are fetched from; None where it takes them."""
    count = len(prompt.references)
    if (words := input_objection(contract, count, mask=False, addresses=False)) is not None:
        document.wrong((*loc, "references"), words)
    if prompt.mask and (words := input_objection(contract, 0, mask=True, addresses=False)) is not None:
        document.wrong((*loc, "mask"), words)
    takes = input_objection(contract, 0, mask=False, addresses=True) is None
    return None if takes else contract.images_from


def _is_right(document: Document, at: Loc, prompt: WrittenPrompt, text: str, fetched_from: ImagesFrom | None) -> bool:
    """Check what is known without a row; a row finds the rest."""
    open_ended = isinstance(prompt, CatalogPrompt) and ("{{" in text or "{%" in text)
    if not open_ended:
        try:
            _checked(text.strip(), fetched_from)
        except ValueError as error:
            document.wrong(at, str(error))
            return False
    return True
