"""Collects what is wrong, so that a user sees all of it at once and never ten thousand lines of the same."""

from __future__ import annotations

from collections import defaultdict

from batchgen.domain.errors import ManifestError, Problem

SHOWN = 200
ALIKE = 10


class Problems:
    """Everything found wrong so far.

    Problems that are `like` each other are shown up to ten times and then counted; of all others 200 are shown.
    With `at_once` the first one is raised: for a second reading of what was found right in a first.
    """

    def __init__(self, *, at_once: bool = False) -> None:
        self._at_once = at_once
        self._shown: list[Problem] = []
        self._left_out = 0
        self._first: Problem | None = None
        self._alike: dict[str, int] = defaultdict(int)
        self._last_alike: dict[str, Problem] = {}

    def __len__(self) -> int:
        return len(self._shown) + self._left_out + sum(max(0, count - ALIKE) for count in self._alike.values())

    def add(self, problem: Problem, *, like: str = "") -> None:
        """Note one problem; `like` names the group it is counted with.

        Raises:
            ManifestError: in a second reading.
        """
        if self._at_once:
            raise ManifestError([problem])
        if like:
            self._alike[like] += 1
            if self._alike[like] > ALIKE:
                self._last_alike[like] = problem
                return
        if len(self._shown) < SHOWN:
            self._shown.append(problem)
        else:
            self._left_out += 1

    def raise_if_any(self) -> None:
        """End the check.

        Raises:
            ManifestError: if there is any problem.
        """
        if self._shown:
            raise self.error()

    def error(self) -> ManifestError:
        """Make the error that tells every problem that is shown, and how many are not."""
        return ManifestError([*self._shown, *self._counted()])

    def _counted(self) -> list[Problem]:
        """Say what was only counted, once per group at its last place."""
        counted = [
            Problem(
                last.file, last.line, last.column, last.key, f"and {self._alike[like] - ALIKE:,} more: {last.message}"
            )
            for like, last in self._last_alike.items()
        ]
        if self._left_out:
            first = min(self._shown)
            words = f"only the first {SHOWN} problems are shown, {self._left_out:,} more are left out"
            counted.append(Problem(first.file, 0, 0, "", words))
        return counted
