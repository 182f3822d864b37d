"""The endpoints that make pictures: one table of them all, and what a route's contract says it serves.

A new endpoint is a module here and a place in `ENDPOINTS`.
"""

from __future__ import annotations

from batchgen.contracts.contract import Contract
from batchgen.simulator.endpoints.chat import Chat
from batchgen.simulator.endpoints.edits import Edits
from batchgen.simulator.endpoints.endpoint import Endpoint
from batchgen.simulator.endpoints.images import Generations
from batchgen.simulator.endpoints.responses import Responses

_ALL: tuple[Endpoint, ...] = (Generations(), Edits(), Chat(), Responses())
ENDPOINTS = {endpoint.path: endpoint for endpoint in _ALL}
"""Every endpoint by its path below a route's prefix."""


def served_by(contract: Contract) -> list[Endpoint]:
    """List the endpoints that a route serves."""
    return [endpoint for endpoint in ENDPOINTS.values() if endpoint.in_contracts in contract.endpoints]


def takes_batches(contract: Contract) -> bool:
    """Say whether a route serves `/batches` and `/files`."""
    return "batch" in contract.endpoints
