"""The parts of a contract that are values of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class ParameterRule:
    """Whether a parameter may be sent.

    Attributes:
        stance: `unsure` where the vendor has changed its mind: sent only if the manifest insists, with a warning.
        values: what it may be; empty for anything.
    """

    stance: Literal["takes", "rejects", "unsure"]
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class References:
    """Limits of reference images, in bytes each; 0 where the vendor states none.

    Attributes:
        advised_bytes: above this a reference is made smaller before it is sent.
        total_bytes: of all references of one call together, as advised.
        field: the name of the form field, `image` or `image[]`; a single one is always `image`.
        mask: whether a mask is taken.
        json: whether edits are also taken as JSON, which alone can carry https addresses.
        many: from so many input images on a call is waited for `many_timeout` seconds at least.
    """

    max_count: int = 0
    max_bytes: int = 0
    advised_bytes: int = 0
    total_bytes: int = 0
    field: str = "image"
    mask: bool = False
    json: bool = False
    many: int = 0
    many_timeout: int = 0


@dataclass(frozen=True, slots=True)
class LogApi:
    """Where a gateway tells what it really charged, call by call.

    Attributes:
        path: below the server's root, not below `base_url`.
        token_env: the variable with the account's access token, which is not the key of the calls.
    """

    path: str = ""
    token_env: str = ""
