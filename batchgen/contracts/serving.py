"""Whether a route takes what is asked: size, format, values, input images."""

from __future__ import annotations

from batchgen.contracts.contract import Contract
from batchgen.contracts.endpoints import ENDPOINTS
from batchgen.domain.inputs import Inputs
from batchgen.domain.job import Parameters
from batchgen.domain.size import Size


def can_serve(contract: Contract, size: Size, asked: Parameters, inputs: Inputs) -> bool:
    """Tell whether a route can be asked this. A parameter that it does not know at all is left out there."""
    if contract.check_size(size) is not None:
        return False
    if any(each.stance == "takes others" for each in contract.check_parameters(asked)):
        return False
    references = inputs.references
    addresses = any(each.is_address for each in (*references, *([inputs.mask] if inputs.mask else [])))
    return input_objection(contract, len(references), mask=inputs.mask is not None, addresses=addresses) is None


def input_objection(contract: Contract, references: int, *, mask: bool, addresses: bool) -> str | None:
    """Say what a route has against so many references, a mask, or addresses instead of files; None for nothing."""
    most = contract.references.max_count
    if most and references > most:
        return f"{contract.route} takes {most} references at most, not {references}"
    if mask and not contract.references.mask:
        return f"{contract.route} takes no mask; leave it out"
    here, others = contract.endpoint, [ENDPOINTS[name] for name in contract.endpoints]
    if mask and not here.takes_mask:
        way = next((f"use its endpoint {each.name}" for each in others if each.takes_mask), "leave it out")
        return f"{contract.route} takes no mask on its endpoint {here.name}; {way}"
    if addresses and not here.takes_addresses and not contract.references.json:
        way = next((f"write endpoint: {each.name}, or name a file" for each in others if each.takes_addresses), "")
        said = f"{contract.route} takes no https addresses as references on its endpoint {here.name}"
        return f"{said}; {way or 'name a file'}"
    return None
