"""Images that are delivered already: whether their files are whole."""

from __future__ import annotations

from pathlib import Path

from batchgen.cli.common import told_now_and_then
from batchgen.ledger.adoption import Intact
from batchgen.store.output.image_faults import fault_of


def intact_below(output: Path) -> Intact:
    """Tells of images below an output folder whether they are whole, and now and then how many were looked at."""
    step = told_now_and_then("earlier images that may serve again")

    def intact(image: str, size: int, sha256: str) -> bool:
        step()
        return fault_of(output, image, size, sha256) is None

    return intact
