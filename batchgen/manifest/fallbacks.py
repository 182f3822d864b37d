"""Where a manifest's tasks may go on when their route cannot deliver them: fallback routes, and the rescue for 4K."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from batchgen.contracts.catalog import Catalog
from batchgen.contracts.contract import Contract
from batchgen.contracts.serving import input_objection
from batchgen.domain.errors import ContractError
from batchgen.domain.inputs import is_address
from batchgen.domain.job import FourK, Parameters
from batchgen.domain.size import Size, downgraded
from batchgen.manifest.document.document import Document
from batchgen.manifest.document.validate import Loc
from batchgen.manifest.prompts.input_templates import InputTemplates
from batchgen.manifest.route import check_budget, check_use, with_images_from


@dataclass(frozen=True, slots=True)
class FallbackRoute:
    """A route that tasks may be sent on to.

    Attributes:
        written: as the manifest names it, a name or a mapping.
        rescue: whether it only takes 4K sizes that the job's own route could not deliver.
    """

    contract: Contract
    written: str | Mapping[str, Any]
    rescue: bool = False


def read_four_k(document: Document, contract: Contract | None, sizes: Iterable[Size]) -> FourK:
    """Read what to do when 4K fails, and warn where there is nothing to do."""
    keys = document.keys
    key = "if_4k_fails" if keys.if_4k_fails else "downgrade"
    if keys.downgrade and keys.if_4k_fails:
        document.wrong(("downgrade",), "says the same as if_4k_fails: downgrade; keep one of the two")
    wanted = FourK(keys.if_4k_fails) if keys.if_4k_fails else FourK.DOWNGRADE if keys.downgrade else FourK.RETRY
    large = [size for size in sizes if size.tier == "4K"]
    if wanted is FourK.RETRY or contract is None:
        return wanted
    if wanted is FourK.RESCUE and not contract.rescue:
        words = f"{contract.route} names no route that rescues 4K; name one with fallback:, or write downgrade"
        document.wrong((key,), words)
    elif not contract.downgrade:
        document.doubt((key,), f"has nothing to do: {contract.route} is not known to fail at 4K")
    elif wanted is FourK.DOWNGRADE and not any(downgraded(size) for size in large):
        document.doubt((key,), "has nothing to do: none of the sizes is a 4K size with a 2K one of its ratio")
    elif not large:
        document.doubt((key,), "has nothing to do: none of the sizes is a 4K size")
    return wanted


def read_fallbacks(
    document: Document,
    contract: Contract | None,
    catalog: Catalog,
    asked: Iterable[tuple[Size, str | None]],
    four_k: FourK,
    inputs: Sequence[InputTemplates | None],
) -> tuple[FallbackRoute, ...]:
    """Read the routes after the job's own, in order, and note all their problems.

    Args:
        contract: of the job's own route; None where that is wrong.
        asked: sizes and qualities.
        inputs: those of each entry.
    """
    keys, found = document.keys, []
    routes, asked = [] if contract is None else [contract], list(asked)
    for number, written in enumerate(keys.fallback):
        loc: Loc = ("fallback", number)
        try:
            other = with_images_from(document, catalog.resolve(written))
        except ContractError as error:
            document.wrong(loc, str(error))
            continue
        check_use(document, loc, other)
        _check(document, loc, other, routes, asked)
        _check_inputs(document, loc, other, inputs)
        routes.append(other)
        found.append(FallbackRoute(other, written))
    if contract is None:
        return tuple(found)
    if four_k is FourK.RESCUE and contract.rescue:
        rescue = with_images_from(document, catalog.find(contract.rescue))
        if all(each.route != rescue.route for each in routes):
            _check_key(document, ("if_4k_fails",), rescue, routes)
            _check_inputs(document, ("if_4k_fails",), rescue, inputs)
            found.append(FallbackRoute(rescue, contract.rescue, rescue=True))
    _check_all(document, contract, found, asked)
    return tuple(found)


def _check_all(
    document: Document, contract: Contract, found: list[FallbackRoute], asked: list[tuple[Size, str | None]]
) -> None:
    """Note what is wrong with the routes together."""
    keys = document.keys
    if keys.limits.budget or keys.limits.budget_per_run:
        for each in found:
            check_budget(document, each.contract, [pair for pair in asked if pair[0].tier == "4K" or not each.rescue])
    if found and any(each.endpoint.in_batches for each in (contract, *(other.contract for other in found))):
        document.wrong(("fallback",), "a batch is handed in as a whole, so nothing goes on elsewhere; remove it")
    if keys.fallback_on_refusal and not keys.fallback:
        document.doubt(("fallback_on_refusal",), "has nothing to do without fallback:")


def _check(
    document: Document,
    loc: Loc,
    other: Contract,
    routes: list[Contract],
    asked: list[tuple[Size, str | None]],
) -> None:
    """Note what is wrong or doubtful about one fallback route."""
    if any(each.route == other.route for each in routes):
        document.wrong(loc, f"{other.route} is there already; name each route once")
    _check_key(document, loc, other, routes)
    sizes = dict.fromkeys(size for size, _ in asked)
    objections = {size: words for size in sizes if (words := other.check_size(size)) is not None}
    if sizes and len(objections) == len(sizes):
        document.wrong(loc, f"cannot take over anything: {next(iter(objections.values()))}")
    elif objections:
        named = ", ".join(size.name for size in objections)
        document.doubt(loc, f"{other.route} does not take {named}; tasks of that size do not go on there")
    keys = document.keys
    form = Parameters(keys.quality or None, keys.background or None, keys.output.format)
    for objection in other.check_parameters(form):
        if objection.stance == "rejects":
            words = f"{other.route} knows no `{objection.parameter}`; what it takes over is bought without it"
            document.doubt(loc, words)
        elif objection.stance == "takes others":
            document.wrong(loc, objection.text)


def _check_inputs(document: Document, loc: Loc, other: Contract, inputs: Sequence[InputTemplates | None]) -> None:
    """Note whether a route takes the input images; addresses that stand in rows are not known here."""
    found = [words for each in inputs if each is not None and (words := _objection(other, each)) is not None]
    if found and len(found) == len(inputs):
        document.wrong(loc, f"cannot take over anything: {found[0]}")
    elif found:
        document.doubt(loc, f"{found[0]}; prompts of that kind do not go on there")


def _objection(contract: Contract, inputs: InputTemplates) -> str | None:
    addresses = inputs.fetched_from is None and any(  # what was fetched is a file for every route
        not template.uses_row and not template.names and is_address(template.render({}).strip().lower())
        for template in inputs.templates.values()
    )
    mask = "mask" in inputs.templates
    return input_objection(contract, len(inputs.templates) - mask, mask=mask, addresses=addresses)


def _check_key(document: Document, loc: Loc, other: Contract, routes: list[Contract]) -> None:
    """Note when two groups of a provider share a key: a token's group decides the route."""
    for each in routes:
        shared = [name for name in other.keys if name in each.keys]
        if shared and each.provider == other.provider and each.group != other.group:
            words = f"{each.route} and {other.route} are two groups of {other.provider}, and the key decides the group"
            document.wrong(loc, f"{words}; give each its own key_env, not {shared[0]} for both")
