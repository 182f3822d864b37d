"""What a job has delivered so far, by content: the same bytes for another task are worth a word."""

from __future__ import annotations

from collections.abc import Iterable


class Delivered:
    """The images of a job by the first half of their digests, shared by all routes of a run."""

    def __init__(self, images: Iterable[tuple[str, int]] = ()) -> None:
        """Take what is in the books: SHA-256 in hexadecimal, and the task."""
        self._tasks: dict[int, int] = {}
        for sha256, task in images:
            self.repeats(sha256, task)

    def repeats(self, sha256: str, task: int) -> bool:
        """Whether another task has an image of these bytes; it is known from now on."""
        return self._tasks.setdefault(int(sha256[:16], 16), task) != task
