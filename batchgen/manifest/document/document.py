"""A manifest's file, read and validated: its keys, where each of them stands, and what is wrong or doubtful."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from batchgen.domain.errors import Problem
from batchgen.files.text_lines import open_file
from batchgen.manifest.document.schema import ManifestKeys
from batchgen.manifest.document.validate import Loc, validate
from batchgen.manifest.document.yaml_guard import MAX_BYTES, read_tree
from batchgen.manifest.document.yaml_tree import Mapping, find, key_position
from batchgen.manifest.problems import Problems


@dataclass(slots=True)
class Document:
    """One manifest on its way from text to values.

    Attributes:
        file: as the user named it; `folder` is where it lies, for all that is relative to it.
        digest: sha256 of its bytes, hexadecimal.
        keys: as far as they are right; wrong ones stand at their defaults.
        bad: dotted names of the wrong ones.
        bad_prompts: numbers of the entries of `prompts` that cannot be read.
        problems: what is wrong with it, so far; `warnings` is what is doubtful.
    """

    file: str
    folder: Path
    digest: str
    root: Mapping
    keys: ManifestKeys
    bad: set[str]
    bad_prompts: set[int]
    problems: Problems
    warnings: list[Problem] = field(default_factory=list)

    def position(self, loc: Loc) -> tuple[int, int]:
        """Give line and column of a key's value."""
        node = find(self.root, loc)
        return node.line, node.column

    def wrong(self, loc: Loc, message: str, *, at_key: bool = False) -> None:
        """Note a problem at a key's value, or at the key itself."""
        position = key_position(self.root, loc) if at_key else self.position(loc)
        self.problems.add(Problem(self.file, *position, dotted(loc), message))

    def doubt(self, loc: Loc, message: str) -> None:
        """Note a warning at a key."""
        self.warnings.append(Problem(self.file, *self.position(loc), dotted(loc), message))


def read_document(path: Path) -> Document:
    """Read a manifest's file; keys that are wrong become problems of the document.

    Raises:
        ManifestError: it cannot be read as a mapping in YAML.
    """
    problems, file = Problems(), str(path)
    with open_file(path, file) as opened:
        data = opened.read(MAX_BYTES + 1)
    root = read_tree(data, file, problems)
    validated = validate(root, file, problems)
    folder = Path(os.path.abspath(path)).parent  # noqa: PTH100 - links stay as written
    digest = hashlib.sha256(data).hexdigest()
    return Document(file, folder, digest, root, validated.keys, validated.bad, validated.bad_prompts, problems)


def dotted(loc: Loc) -> str:
    """Write a key as messages name it."""
    return ".".join(str(step) for step in loc)
