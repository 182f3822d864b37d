"""The names of the index and of the files in a spool. A receipt makes an answer complete, a mark a download."""

from __future__ import annotations

import re

INDEX = "images.jsonl"  # in the output folder: a line for each image
SPOOL = ".batchgen"  # in the output folder
QUARANTINE = "quarantine"  # in the spool
KEPT = "kept"  # in the spool: whole answers that nobody could read
INPUTS = "inputs"  # in the spool: prepared copies of references and masks
PART = ".part"  # <attempt>-<index>.part: one picture
WHOLE = ".whole"  # <attempt>-<index>.whole: that picture was downloaded to its end
RECEIPT = ".json"  # <attempt>.json
TEMPORARY = ".tmp"

_NAME = re.compile(r"(\d+)(?:-\d+)?\.(?:part|whole|json|tmp)\Z", re.ASCII)


def attempt_of(name: str) -> int | None:
    """Return whose file it is; None for what is no file of an attempt.

    >>> attempt_of("57-0.part"), attempt_of("owner.json")
    (57, None)
    """
    found = _NAME.match(name)
    return int(found[1]) if found else None


def kept_receipt(attempt: int) -> str:
    """Return where the kept answer of an attempt is, below the output folder.

    >>> kept_receipt(57)
    '.batchgen/kept/57.json'
    """
    return f"{SPOOL}/{KEPT}/{attempt}{RECEIPT}"


def mark_of(part: str) -> str:
    """Return the name of the mark that a part was downloaded to its end."""
    return part.removesuffix(PART) + WHOLE


def removal_order(name: str) -> tuple[int, str]:
    """Sort receipts first, then marks, then pictures: no receipt or mark ever stands for bytes that are gone."""
    return (0 if name.endswith(RECEIPT) else 1 if name.endswith(WHOLE) else 2), name
