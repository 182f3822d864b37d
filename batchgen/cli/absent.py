"""The word about delivered images whose files are gone; nothing is bought again for that by itself."""

from __future__ import annotations

import shlex
from pathlib import Path

from batchgen.cli.common import next_command
from batchgen.domain.text import counted, one_line
from batchgen.ledger.records import JobRow
from batchgen.report.missing_images import Absent, look_for


def absent_of(ledger: Path, job: JobRow | None, output: Path) -> Absent | None:
    """What is not in the output folder of a job; None where all is there, as far as was looked."""
    found = None if job is None else look_for(ledger, job, output)
    return found if found is not None and found.missing else None


def absent_lines(found: Absent | None, name: str, output: Path) -> list[str]:
    """What to say of it, and what to type next."""
    if found is None:
        return []
    seen = f" of {found.looked:,} looked for, out of {found.delivered:,}" if found.looked < found.delivered else ""
    more = " …" if found.missing > len(found.first) else ""
    are = "is" if found.missing == 1 else "are"
    return [
        f"{counted(found.missing, 'delivered image')}{seen} {are} not in {output}, or of another size: "
        f"{', '.join(map(one_line, found.first))}{more}",
        f"  put them back, or have them bought again: {next_command(f'retry {shlex.quote(name)} --gone')}",
    ]


def absent_fields(found: Absent | None) -> dict[str, object]:
    """The same for machines."""
    missing = 0 if found is None else found.missing
    return {"missing_files": missing, "missing_first": [] if found is None else list(found.first)}
