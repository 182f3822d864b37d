"""What is known while a manifest is read: where everything stands, what is wrong, and what is doubtful."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from batchgen.domain.errors import Problem
from batchgen.manifest.problems import Problems
from batchgen.manifest.tree import Mapping, find, key_place
from batchgen.manifest.validate import Checked

Loc = tuple[str | int, ...]


@dataclass(slots=True)
class Reading:
    """One manifest on its way from text to values.

    Attributes:
        file: as the user named it; `folder` is where it lies, for all that is relative to it.
    """

    file: str
    folder: Path
    root: Mapping
    checked: Checked
    problems: Problems
    warnings: list[Problem] = field(default_factory=list)

    def place(self, loc: Loc) -> tuple[int, int]:
        """Line and column of a key's value."""
        node = find(self.root, loc)
        return node.line, node.column

    def wrong(self, loc: Loc, message: str, *, at_key: bool = False) -> None:
        """Notes a problem at a key's value, or at the key itself."""
        place = key_place(self.root, loc) if at_key else self.place(loc)
        self.problems.add(Problem(self.file, *place, dotted(loc), message))

    def doubt(self, loc: Loc, message: str) -> None:
        """Notes a warning at a key."""
        self.warnings.append(Problem(self.file, *self.place(loc), dotted(loc), message))


def dotted(loc: Loc) -> str:
    """A key as messages name it."""
    return ".".join(str(step) for step in loc)
