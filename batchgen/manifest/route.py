"""What a manifest says of its route, held against the contract."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from batchgen.contracts.catalog import Catalog
from batchgen.contracts.contract import Contract, Objection
from batchgen.contracts.pricing import Demand, expected
from batchgen.contracts.serving import can_serve
from batchgen.contracts.tokens import TokenPrice
from batchgen.domain.errors import ContractError
from batchgen.domain.images_from import ImagesFrom
from batchgen.domain.inputs import NO_INPUTS
from batchgen.domain.job import Limits, Parameters
from batchgen.domain.size import AUTO, Size, parse_size
from batchgen.manifest.document.document import Document
from batchgen.manifest.document.schema import MOST_IN_FLIGHT
from batchgen.manifest.document.validate import Loc
from batchgen.manifest.document.yaml_tree import Odd

MOST_CONCURRENCY = 32  # by default, of one key; a manifest may say more

_AT_KEY = re.compile(r"route: (\w+): (.*)", re.DOTALL)


def resolve_route(document: Document, catalog: Catalog) -> Contract | None:
    """Find the contract of the manifest's route, with its own changes; None when there is none."""
    keys = document.keys
    if "route" in document.bad or _has_odd(document, ("route",), keys.route):
        return None
    try:
        contract = catalog.resolve(keys.route)
        check_use(document, ("route",), contract)
        if not keys.timeout:
            return with_images_from(document, contract)
        option = keys.route if isinstance(keys.route, dict) else {"use": keys.route}
        if "timeout" in option:
            document.wrong(("timeout",), "stands here and under route:; keep one")
        timed = replace(catalog.resolve({**option, "timeout": keys.timeout}), warnings=contract.warnings)
        return with_images_from(document, timed)
    except ContractError as error:
        found = _AT_KEY.match(str(error))
        if found:
            document.wrong(("route", found[1]), found[2], at_key=found[2].startswith("unknown key"))
        else:
            document.wrong(("route",), str(error))
        return None


def with_images_from(document: Document, contract: Contract) -> Contract:
    """Let a route fetch images from where the manifest allows it too."""
    return replace(contract, images_from=contract.images_from + ImagesFrom.of(document.keys.images_from))


def check_use(document: Document, loc: Loc, contract: Contract) -> None:
    """Note what is missing for calling a route, and what is doubtful about it."""
    if contract.endpoint.by_main_model and not contract.main_model:
        needs = f"the endpoint {contract.endpoint.name} needs the mainline model that draws"
        words = f"{needs}: write main_model: beside it"
        document.wrong(loc, words)
    for warning in contract.warnings:
        document.doubt(loc, warning)
    if contract.retires_on:
        document.doubt(loc, f"{contract.route} is served until {contract.retires_on}; plan to move to a newer model")


def check_timeout(
    document: Document, catalog: Catalog, asked: Iterable[tuple[Size, str | None]], most_inputs: int
) -> None:
    """Warn of a timeout shorter than the route needs for what is asked: an abandoned call is paid."""
    keys = document.keys
    if not keys.timeout:
        return
    usual = catalog.resolve(keys.route)
    needs = max(
        ((usual.timeout_for(size, quality, most_inputs), size.name) for size, quality in asked), default=(0.0, "")
    )
    if keys.timeout < needs[0]:
        words = f"{keys.timeout:g} s is less than the {needs[0]:g} s that {usual.route} may need for {needs[1]}"
        document.doubt(("timeout",), f"{words}; an abandoned call is paid all the same")


def read_sizes(document: Document, loc: Loc, written: list[str], contract: Contract | None) -> tuple[Size, ...]:
    """Read the sizes of a list, each once and each one that the route takes; what is wrong is left out."""
    sizes: dict[Size, str] = {}
    for number, text in enumerate(written):
        at = (*loc, number)
        try:
            size = parse_size(text)
        except ValueError as error:
            document.wrong(at, str(error))
            continue
        objection = contract.check_size(size) if contract is not None else None
        if size in sizes:
            document.wrong(at, f"{sizes[size]} and {text} are one size; keep one")
        elif objection is not None:
            document.wrong(at, objection)
        sizes[size] = text
    return tuple(sizes)


def default_sizes(document: Document, contract: Contract | None) -> tuple[Size, ...]:
    """Choose the size where none is written: `auto` on a route that takes none, else a problem with an example."""
    if contract is not None and contract.sizes.kind != "none":
        example = contract.sizes.nearest(Size(2048, 2048))
        name = example.name if example else "auto"
        document.wrong(("sizes",), f'{contract.route} needs a size; write for instance sizes: ["{name}"]')
    return (AUTO,)


def check_parameters(
    document: Document,
    contract: Contract,
    parameters: Parameters,
    at: Mapping[str, Loc],
    said: Iterable[Objection] = (),
) -> set[Objection]:
    """Hold quality, background and format against the contract.

    Args:
        at: where each parameter stands that is written here.
        said: what was already reported, for the whole job.

    Returns:
        what was reported here.
    """
    news = [objection for objection in contract.check_parameters(parameters) if objection not in said]
    for objection in news:
        loc = at.get(objection.parameter) or at.get("format") or next(iter(at.values()))
        (document.doubt if objection.is_doubt else document.wrong)(loc, objection.text)
    return set(news)


def read_limits(document: Document, contract: Contract | None, asked: Iterable[tuple[Size, str | None]]) -> Limits:
    """Read the limits of the run, with the route's where none are written; `asked` is what a budget must cover."""
    keys = document.keys.limits
    quotas = contract.quotas if contract is not None else 1
    known = contract.concurrency * quotas if contract is not None else MOST_CONCURRENCY
    if keys.concurrency > known:
        words = f"{keys.concurrency} calls in flight are more than the {known} that the route is known to take"
        document.doubt(("limits", "concurrency"), words)
    if (keys.budget or keys.budget_per_run) and contract is not None:
        check_budget(document, contract, asked)
    return Limits(
        concurrency=keys.concurrency or min(known, MOST_CONCURRENCY * quotas, MOST_IN_FLIGHT),
        rate=keys.rate or None,
        burst=keys.burst,
        attempts=keys.attempts,
        unknown=keys.unknown,
        unknown_total=keys.unknown_total or None,
        budget=keys.budget or None,
        until=keys.until if keys.until >= 0 else None,
        budget_per_run=keys.budget_per_run or None,
        retry_paid=keys.retry_paid if keys.retry_paid >= 0 else None,
        patience=keys.patience or None,
    )


def check_budget(document: Document, contract: Contract, asked: Iterable[tuple[Size, str | None]]) -> None:
    """Note a budget on a route of which nobody can say what a call costs at most, in some size and quality asked.

    What the route does not take is never asked of it; where that is a mistake, it has been said already.
    """
    kinds = [(size, Parameters(quality=quality, format=contract.formats[0])) for size, quality in asked]
    endless = [
        (size, parameters.quality)
        for size, parameters in kinds
        if can_serve(contract, size, parameters, NO_INPUTS)
        and expected(contract, Demand(size, parameters.quality, 1)).upper is None
    ]
    if not endless:
        return
    at = ("limits", "budget" if document.keys.limits.budget else "budget_per_run")
    size, quality = min(endless, key=lambda pair: (pair[0], pair[1] or ""))
    if isinstance(contract.price, TokenPrice) and (contract.main_price or not contract.endpoint.by_main_model):
        call = f"{size.name} in the quality {quality}" if quality else size.name
        words = f"nobody can say what {contract.route} takes at most for {call}, so a budget cannot hold; leave it out,"
        document.wrong(at, f"{words} ask for what has a listed price, or give the route a price:")
        return
    key, whose = "price", contract.route
    if contract.endpoint.by_main_model and contract.main_price is None:
        key, whose = "main_price", f"the mainline model of {contract.route}"
    words = f"{whose} has no price, so a budget cannot hold; leave it out, or give the route a {key}:"
    document.wrong(at, words)


def _has_odd(document: Document, loc: Loc, value: object) -> bool:
    """Note where YAML read something below the route as what its writer hardly meant."""
    if isinstance(value, Odd):
        document.wrong(loc, f'YAML reads {value.text} as {value.read_as}; write it in quotes: "{value.text}"')
        return True
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [_has_odd(document, (*loc, key), each) for key, each in below]  # all of them, so no generator
    return any(found)
