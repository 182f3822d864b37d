"""Finds what occurs twice among millions of prompts, with eight bytes for each thing that should differ."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from itertools import pairwise

from batchgen.domain.errors import Problem
from batchgen.domain.names import fold
from batchgen.manifest.entries import Entry
from batchgen.manifest.places import NO_PLACES, Places
from batchgen.manifest.problems import Problems

_PARTS = 16  # sorted one after another, so that only a sixteenth is ever held as Python integers

Filled = list[dict[str, str]]


class Twins:
    """Hashes of things that should all differ. Equal ones are only a suspicion, for which the things are read again."""

    def __init__(self) -> None:
        self._parts = [array("q") for _ in range(_PARTS)]

    def add(self, hashed: int) -> None:
        """Notes one thing by its 64-bit hash."""
        self._parts[hashed % _PARTS].append(hashed)

    def suspects(self, at_most: int) -> tuple[set[int], int]:
        """Hashes that occurred more than once, up to a number of them, and how often that happened in all."""
        found: set[int] = set()
        count = 0
        for number, part in enumerate(self._parts):
            for one, other in pairwise(sorted(part)):
                if one == other:
                    count += 1
                    if len(found) < at_most:
                        found.add(one)
            self._parts[number] = array("q")
        return found, count


@dataclass(frozen=True, slots=True)
class Suspects:
    """Hashes of ids, paths and texts that occurred twice; `repeated` is how often a text did."""

    ids: set[int]
    paths: set[int]
    texts: set[int]
    repeated: int


@dataclass(frozen=True, slots=True)
class _Seen:
    place: Problem  # without a message: only where
    key: str

    def seen_from(self, other: _Seen) -> str:
        """Where it stands, for a sentence about another."""
        file = "" if self.place.file == other.place.file else f"{self.place.file}, "
        return f"{file}line {self.place.line}"


class SecondReading:
    """Names the rows behind suspicious hashes, and finds harmless those that only collided."""

    def __init__(self, suspects: Suspects, problems: Problems) -> None:
        self._suspects = suspects
        self._problems = problems
        self._ids: dict[str, _Seen] = {}
        self._paths: dict[str, _Seen] = {}
        self._texts: dict[tuple[str, str] | tuple[str, str, Places], _Seen] = {}
        self._repeat: tuple[_Seen, _Seen] | None = None

    def read(self, entry: Entry, filled: Filled) -> None:
        """Adds a problem for each prompt whose id, or whose path, is that of an earlier one."""
        for line, column, key, text, path, places in entry.drafts(Problems()):
            here = _Seen(Problem(entry.shown, line, column, entry.place, ""), key)
            if not self._id_is_taken(here) and path:
                self._path_is_taken(here, fold(path), filled)
            asked = (text, entry.overrides) if places is NO_PLACES else (text, entry.overrides, places)
            if self._repeat is None and hash(asked) in self._suspects.texts:
                first = self._texts.setdefault(asked, here)
                self._repeat = (first, here) if first is not here else None

    def warnings(self) -> list[Problem]:
        """What is allowed but doubtful: one text bought under several ids."""
        if self._repeat is None:
            return []
        first, here = self._repeat
        times = "1 prompt asks" if self._suspects.repeated == 1 else f"{self._suspects.repeated:,} prompts ask"
        message = f"{times} for what another asks, for instance {here.key} and {first.key}; count: buys several"
        return [_at(here, "text", message)]

    def _id_is_taken(self, here: _Seen) -> bool:
        folded = fold(here.key)
        if hash(folded) not in self._suspects.ids:
            return False
        first = self._ids.setdefault(folded, here)
        if first is here:
            return False
        same = "stands already" if first.key == here.key else f"differs only in case from {first.key}"
        message = f"the id {here.key} {same} in {first.seen_from(here)}; ids must differ"
        self._problems.add(_at(here, "id", message), like=f"{here.place.key}.id")
        return True

    def _path_is_taken(self, here: _Seen, pattern: str, filled: Filled) -> None:
        for fill in filled:
            path = pattern.format_map(fill)
            if hash(path) not in self._suspects.paths:
                continue
            first = self._paths.setdefault(path, here)
            if first is not here:
                also = f"as does {first.key} ({first.seen_from(here)})"
                message = f"{here.key} lands in the file {path}, {also}; make output.file differ"
                self._problems.add(_at(here, "file", message), like=f"{here.place.key}.file")
                return


def _at(here: _Seen, key: str, message: str) -> Problem:
    return Problem(here.place.file, here.place.line, here.place.column, f"{here.place.key}.{key}", message)
