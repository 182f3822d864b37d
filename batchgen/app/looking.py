"""Looking at many files, while whoever waits is told how far that is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from batchgen.ledger.adoption import Intact
from batchgen.store.output.image_faults import fault_of

Looking = Callable[[str], Callable[[], None]]
"""Told what is going to be looked at; gives what is to be called after each of them."""


def in_silence(_what: str) -> Callable[[], None]:
    """Tell nobody; the `Looking` of a program that shows nothing."""
    return _nothing


def intact_below(output: Path, looking: Looking = in_silence) -> Intact:
    """Give what tells of images below an output folder whether they are whole."""
    step = looking("earlier images that may serve again")

    def intact(image: str, size: int, sha256: str) -> bool:
        step()
        return fault_of(output, image, size, sha256) is None

    return intact


def _nothing() -> None:
    pass
