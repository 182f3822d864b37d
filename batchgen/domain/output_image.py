"""An image in the output folder, what takes its place when its bytes are wrong, and all that made it."""

from __future__ import annotations

from dataclasses import dataclass

from batchgen.domain.lifecycle import Charge
from batchgen.domain.origin import Origin


@dataclass(frozen=True, slots=True)
class Image:
    """An image in the output folder, checked.

    Attributes:
        path: below the output folder, `/` as separator.
        format: by content, not by name: `png`, `jpeg` or `webp`.
        blank: whether every pixel is the same; False where nobody looked.
    """

    path: str
    sha256: str
    bytes: int
    width: int
    height: int
    format: str
    blank: bool = False


@dataclass(frozen=True, slots=True)
class Damaged:
    """Bytes that are not the image they should be; they are kept in quarantine.

    Attributes:
        kept: file name below the spool folder.
        sure: whether it is known that they are wrong; else nobody could tell, and a person must look.
    """

    reason: str
    kept: str
    sure: bool = True


@dataclass(frozen=True, slots=True)
class Delivered:
    """One image and the attempt that brought it: what the index of an output folder says, enough to rebuild a ledger.

    Attributes:
        flags: `size_mismatch`, `downgraded`, `rerouted`.
        request_ids: header name and value.
        billed: micro-dollars; the best guess where the charge is unknown.
        created: when it was delivered, seconds since the epoch.
    """

    origin: Origin
    image: Image
    flags: tuple[str, ...]
    attempt: int
    request_ids: tuple[tuple[str, str], ...]
    charge: Charge
    billed: int
    created: float


@dataclass(frozen=True, slots=True)
class IndexLine:
    """Holds what one line of an index says.

    Attributes:
        number: of the line, from 1.
        image: None for a line that cannot be used.
        why: what is wrong with it then.
    """

    number: int
    image: Delivered | None
    why: str = ""
