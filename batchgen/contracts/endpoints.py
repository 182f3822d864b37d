"""What each endpoint is at every gateway; what differs from one to the next is in the contracts.

An *endpoint* is what a contract or a manifest names. An *operation* is what one call asks of it: by its name the books
know the call (their column `endpoint`), and the gateway's answer is read. Only this file translates between the two.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that can be asked of an endpoint.

    Attributes:
        name: as calls and the books name it.
        path: below a contract's base URL, with a slash in front; in a batch, of what its lines are for.
    """

    name: str
    path: str


@dataclass(frozen=True, slots=True)
class EndpointFacts:
    """What is true of an endpoint wherever it is served.

    Attributes:
        name: as contracts and manifests name it.
        plain: what a call without reference images asks for.
        edit: what a call with them asks for.
        takes_mask: whether there is a place for a mask.
        takes_addresses: whether references may always be https addresses; else only where a contract says so.
        by_main_model: whether a mainline model draws through its tool, which the contract names and which is paid too.
        in_batches: whether calls go together in a file, at their own price, and are answered within a day.
    """

    name: str
    plain: Operation
    edit: Operation
    takes_mask: bool = True
    takes_addresses: bool = False
    by_main_model: bool = False
    in_batches: bool = False

    def operation(self, *, edit: bool) -> Operation:
        """Return what a call asks for; `edit` is whether it has reference images."""
        return self.edit if edit else self.plain

    def serves(self, operation: str) -> bool:
        """Tell whether a call of this operation, as the books name it, goes to this endpoint."""
        return operation in {self.plain.name, self.edit.name}


_GENERATIONS, _EDITS = "/images/generations", "/images/edits"
_CHAT, _RESPONSES = Operation("chat", "/chat/completions"), Operation("responses", "/responses")

ENDPOINTS = {
    facts.name: facts
    for facts in (
        EndpointFacts("images", Operation("generations", _GENERATIONS), Operation("edits", _EDITS)),
        EndpointFacts("chat", _CHAT, _CHAT, takes_mask=False, takes_addresses=True),
        EndpointFacts("responses", _RESPONSES, _RESPONSES, takes_addresses=True, by_main_model=True),
        EndpointFacts("batch", Operation("batch", _GENERATIONS), Operation("batch", _EDITS), in_batches=True),
    )
}
"""Every endpoint by its name; the first is a contract's where it names none."""
