"""In which form a reference or mask is sent: how many bytes at most, and what about it must stay."""

from __future__ import annotations

from dataclasses import dataclass

from batchgen.contracts.contract import References
from batchgen.domain.inputs import InputUse

USUAL = 1_500_000  # bytes of a reference where the vendor says nothing; more makes relays fail, and no image better
MOST = 15_000_000  # as a data URL it must stay below 20 MiB of text
MOST_OF_MASK = 4_000_000


@dataclass(frozen=True, slots=True)
class SendProfile:
    """Says in which form a file is sent.

    Attributes:
        limit: bytes.
        exact: the pixels' dimensions stay, because a mask lies over them.
        mask: it is a mask: a PNG with alpha, and exact.
        original: it is not sent: what was fetched from an address, to make other forms of.
    """

    limit: int
    exact: bool = False
    mask: bool = False
    original: bool = False

    @property
    def name(self) -> str:
        """Return a short name for it that is safe in the names of files."""
        if self.original:
            return "fetched"
        return "mask" if self.mask else f"exact-{self.limit}" if self.exact else str(self.limit)


FETCHED = SendProfile(0, exact=True, original=True)
MASK = SendProfile(MOST_OF_MASK, exact=True, mask=True)


def shared(limits: References, count: int) -> SendProfile:
    """Return the form of each of `count` references of one call: none takes more than its share of what all may."""
    stated = [limits.advised_bytes or min(USUAL, limits.max_bytes or USUAL), limits.max_bytes or MOST, MOST]
    if limits.total_bytes:
        stated.append(limits.total_bytes // count)
    return SendProfile(min(stated))


def masked(limits: References) -> SendProfile:
    """Return the form of the reference that a mask lies over."""
    return SendProfile(min(limits.max_bytes or MOST, MOST), exact=True)


def profiles(use: InputUse, limits: References) -> list[SendProfile]:
    """Return every form in which a file is sent over one route."""
    found = dict.fromkeys(shared(limits, count) for count in sorted(use.shares))
    if use.exact:
        found[masked(limits)] = None
    if use.mask:
        found[MASK] = None
    return list(found)
