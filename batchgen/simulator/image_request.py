"""What a request asks for, in the words of the Images API, whichever endpoint it came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from batchgen.simulator.gateway_replies import Declined
from batchgen.simulator.references import Reference


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """A request that was read but not yet judged.

    Attributes:
        fields: `model`, `prompt`, `size` and so on, with values as they came.
        references: the pictures that came with it, in order; `mask` where it has one.
        editing: whether it is an error to bring no picture.
        main: the mainline model that draws through its tool, "" elsewhere.
        inside: where the parameters stand, for messages about them: `tools[0].` or "".
        stored: whether the gateway is to keep the conversation.
        objection: what is wrong with it before anything is looked at, None when it could be read.
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    references: tuple[Reference, ...] = ()
    mask: Reference | None = None
    editing: bool = False
    main: str = ""
    inside: str = ""
    stored: bool = False
    objection: Declined | None = None

    @property
    def prompt(self) -> str:
        """The prompt as it came, "" when there is none."""
        prompt = self.fields.get("prompt")
        return prompt if isinstance(prompt, str) else ""
