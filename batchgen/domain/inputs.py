"""Reference images and masks: as a prompt names them, and as they were when somebody looked."""

from __future__ import annotations

from dataclasses import dataclass


def is_address(place: str) -> bool:
    """Say whether a place is an address and not a file."""
    return place.startswith(("https://", "http://"))


@dataclass(frozen=True, slots=True)
class InputImage:
    """A reference image or mask, as a prompt names it.

    Attributes:
        place: path below the manifest's folder, `/` as separator; or an address.
        sha256: of the file's bytes, or of what was fetched from the address; "" for an address that stands for itself.
        width, height: in pixels, upright; 0 where nobody has looked (addresses).
    """

    place: str
    sha256: str = ""
    width: int = 0
    height: int = 0

    @property
    def is_address(self) -> bool:
        """Whether the gateway fetches it itself."""
        return is_address(self.place) and not self.sha256


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a prompt gives the model to work on beside its text; nothing for plain generation."""

    references: tuple[InputImage, ...] = ()
    mask: InputImage | None = None

    @property
    def count(self) -> int:
        """Images that go with a call."""
        return len(self.references) + (self.mask is not None)


NO_INPUTS = Inputs()


@dataclass(frozen=True, slots=True)
class InputFile:
    """A reference or mask as it was when somebody looked: for a file, equal size and time mean equal content.

    Attributes:
        place: as in `InputImage`.
        changed: nanoseconds since the epoch: the file's own time of change, or when an address was fetched.
    """

    place: str
    bytes: int
    changed: int
    sha256: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class InputUse:
    """A file, or an address that is fetched, that prompts name, and what they use it for.

    Attributes:
        place: as in `InputImage`.
        shares: numbers of references in the calls that it is one of, without those where its pixels must stay.
        exact: whether a mask lies over it somewhere, so that its dimensions must stay.
        mask: whether it is a mask itself.
    """

    place: str
    shares: frozenset[int] = frozenset()
    exact: bool = False
    mask: bool = False


@dataclass(frozen=True, slots=True)
class LookedInput:
    """Says what was seen of a file, or behind an address.

    Attributes:
        place: as in `InputImage`.
        file: None for one that cannot be used.
        wrong: why it cannot be used, a clause that follows its name; "" for one that can.
    """

    place: str
    file: InputFile | None
    wrong: str = ""
