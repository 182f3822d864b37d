"""Whether a route takes what is asked: size, format, values, input images."""

from __future__ import annotations

from batchgen.contracts.contract import Contract
from batchgen.domain.inputs import Inputs
from batchgen.domain.job import Parameters
from batchgen.domain.size import Size

_WITH_ADDRESSES = frozenset({"chat", "responses", "batch"})


def objection(contract: Contract, size: Size, asked: Parameters, inputs: Inputs) -> str | None:
    """Why a route cannot be asked this, None when it can.

    A parameter that the route does not know is left out there, so it is none; a value that it does not have is one.
    """
    if (refused := contract.check_size(size)) is not None:
        return refused
    errors, _ = contract.check_parameters(asked)
    dropped = {f"{contract.route} rejects `{name}`; leave it out" for name in ("quality", "background")}
    if found := next((error for error in errors if error not in dropped), None):
        return found
    references = inputs.references
    addresses = any(each.is_address for each in (*references, *([inputs.mask] if inputs.mask else [])))
    return input_objection(contract, len(references), mask=inputs.mask is not None, addresses=addresses)


def input_objection(contract: Contract, references: int, *, mask: bool, addresses: bool) -> str | None:
    """What a route has against so many references, a mask, or addresses instead of files; None for nothing."""
    most = contract.references.max_count
    if most and references > most:
        return f"{contract.route} takes {most} references at most, not {references}"
    if mask and not contract.references.mask:
        return f"{contract.route} takes no mask; leave it out"
    if mask and contract.endpoint == "chat":
        return f"{contract.route} takes no mask on its endpoint chat; use its endpoint images"
    if addresses and contract.endpoint not in _WITH_ADDRESSES and not contract.references.json:
        way = "write endpoint: chat, or name a file" if "chat" in contract.endpoints else "name a file"
        return f"{contract.route} takes no https addresses as references on its endpoint {contract.endpoint}; {way}"
    return None
