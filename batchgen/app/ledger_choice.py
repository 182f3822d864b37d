"""Which ledger a person works on, and how a command that is typed next names the same one."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

REHEARSAL = Path("rehearsal")
"""Below the current folder: what rehearsals have of their own, so that nothing real is touched."""


@dataclass(frozen=True, slots=True)
class LedgerChoice:
    """A ledger as somebody has chosen it.

    Attributes:
        db: its path, as it was given; None for `batchgen.db` in the current folder.
        rehearse: whether it is that of rehearsals in the current folder instead, whatever `db` says.
    """

    db: Path | None = None
    rehearse: bool = False

    @property
    def path(self) -> Path:
        """Say where the ledger is, or will be."""
        chosen = REHEARSAL / "batchgen.db" if self.rehearse else self.db or Path("batchgen.db")
        return chosen.absolute()

    def command(self, words: str) -> str:
        """Give a command to type next, on this very ledger: what was rehearsed must not be bought by mistake.

        >>> LedgerChoice(rehearse=True).command("retry mugs")
        'batchgen retry mugs --rehearse'
        """
        if self.rehearse:
            return f"batchgen {words} --rehearse"
        return f"batchgen {words}" if self.db is None else f"batchgen {words} --db {shlex.quote(str(self.db))}"

    def run_command(self, manifest: Path) -> str:
        """Give the command that runs a manifest on this ledger, to be pasted as it is."""
        return self.command(f"run {shlex.quote(str(manifest))}")
