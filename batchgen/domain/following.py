"""How a call is followed to its end at a gateway that takes it in under a number and makes the image later."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from batchgen.domain.json_place import Place, at


class Stage(StrEnum):
    """How far a call is that is followed."""

    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Following:
    """What a contract says under `task`. Asking how far a call is costs nothing.

    Attributes:
        id: where the number stands in the answer that takes a call in; empty where it is wherever such stand.
        poll: the path below the base URL that is asked, with `{id}` where the number goes.
        status: where that reply says how far it is.
        done: words that mean that the image is there; `failed` those that mean that none will come.
        picture: where the image stands then; empty where it is wherever the endpoint has it.
        every: seconds between two looks.
        patience: seconds for which a call is followed.
    """

    poll: str
    every: float
    patience: float
    id: Place = ()
    status: Place = ("status",)
    done: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    picture: Place = ()

    def number(self, document: object) -> str:
        """Return the number that an answer gives a call, "" where it gives none at the place that is named."""
        found = at(document, self.id) if self.id else None
        return str(found) if isinstance(found, str | int) and not isinstance(found, bool) else ""

    def stage(self, document: object) -> Stage:
        """Return how far a call is, by a reply to such a question."""
        said = at(document, self.status)
        word = said.lower() if isinstance(said, str) else said
        if word in self.done:
            return Stage.DONE
        return Stage.FAILED if word in self.failed else Stage.WAITING
