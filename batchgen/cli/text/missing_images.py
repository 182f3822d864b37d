"""The word about delivered images whose files are gone; nothing is bought again for that by itself."""

from __future__ import annotations

import shlex
from pathlib import Path

from batchgen.app.ledger_choice import LedgerChoice
from batchgen.domain.text import counted, one_line
from batchgen.report.missing_images import MissingImages


def absent_lines(found: MissingImages | None, name: str, output: Path, ledger: LedgerChoice) -> list[str]:
    """Say how many are missing, and what to type next; nothing where `found` is None."""
    if found is None:
        return []
    seen = f" of {found.looked:,} looked for, out of {found.delivered:,}" if found.looked < found.delivered else ""
    more = " …" if found.missing > len(found.first) else ""
    are = "is" if found.missing == 1 else "are"
    return [
        f"{counted(found.missing, 'delivered image')}{seen} {are} not in {output}, or of another size: "
        f"{', '.join(map(one_line, found.first))}{more}",
        f"  put them back, or have them bought again: {ledger.command(f'retry {shlex.quote(name)} --gone')}",
    ]
