"""Batches on disk: what each is, and which of its lines are done.

A line that is done is written in three steps: its record, its entry in the index, its line on the bill. What a killed
simulator leaves halfway is undone at the next start: the bill decides, so that no line is charged twice or for nothing.
"""

from __future__ import annotations

import json
import os
import random
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from batchgen.simulator.file_store import save

_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class FinishedLine:
    """A line that is done.

    Attributes:
        taken: input tokens.
        made: output tokens.
        at: where its record begins in the file of good or of failed ones, in bytes.
        length: of its record, in bytes.
    """

    custom_id: str
    request_id: str
    failed: bool
    taken: int = 0
    made: int = 0
    at: int = 0
    length: int = 0


@dataclass(slots=True)
class StoredBatch:
    """One batch and the files it is kept in.

    Attributes:
        facts: the object the API shows.
        route: the one it was sent to.
        key: fingerprint of the key it came with.
        host: where the client found the simulator, for addresses of pictures.
        number: batches are counted from 1.
        finished_lines: in the order in which they were done.
    """

    folder: Path
    facts: dict[str, Any]
    route: str
    key: str
    host: str
    number: int
    finished_lines: list[FinishedLine] = field(default_factory=list)

    @property
    def id(self) -> str:
        """The id the API gives it."""
        return str(self.facts["id"])

    @property
    def over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.facts["status"] in {"completed", "failed", "expired", "cancelled"}

    def save(self, **facts: Any) -> None:
        """Change what the API shows, and keep it."""
        self.facts |= facts
        written = {"facts": self.facts, "route": self.route, "key": self.key, "host": self.host, "number": self.number}
        save(self.folder / f"{self.id}.json", written)

    def add(self, finished: FinishedLine, record: Iterable[bytes]) -> None:
        """Keep the record of a line, before it is billed. Blocking."""
        with self._records(finished.failed).open("ab") as file:
            at = file.seek(0, os.SEEK_END)
            file.writelines(record)
            finished = replace(finished, at=at, length=file.tell() - at)
        with self._index.open("ab") as file:
            file.write(json.dumps(asdict(finished)).encode() + b"\n")
        self._take(finished)

    def recover(self, billed: set[str]) -> None:
        """Read which lines are done, and undo the one that was not billed."""
        self.finished_lines = []
        self.facts["request_counts"].update(completed=0, failed=0)
        whole = 0
        lines = self._index.read_bytes().splitlines(keepends=True) if self._index.exists() else []
        for line in lines:
            if not line.endswith(b"\n"):
                break
            finished = FinishedLine(**json.loads(line))
            if finished.request_id not in billed:
                break
            self._take(finished)
            whole += len(line)
        if self._index.exists():
            os.truncate(self._index, whole)
        for failed in (False, True):
            if self._records(failed).exists():
                ends = [finished.at + finished.length for finished in self.finished_lines if finished.failed is failed]
                os.truncate(self._records(failed), max(ends, default=0))

    def write_records(self, target: IO[bytes], seed: int, *, failed: bool) -> None:
        """Copy the good or the failed records, in no order that a client could rely on. Blocking."""
        finished_lines = [finished for finished in self.finished_lines if finished.failed is failed]
        if not finished_lines:
            return
        random.Random(f"{seed}:{self.id}").shuffle(finished_lines)
        with self._records(failed).open("rb") as records:
            for finished in finished_lines:
                records.seek(finished.at)
                _copy(records, target, finished.length)

    def clear(self) -> None:
        """Delete the records; they are in the batch's output files now."""
        for path in (*map(self._records, (False, True)), self._index):
            path.unlink(missing_ok=True)

    def _take(self, finished: FinishedLine) -> None:
        self.finished_lines.append(finished)
        self.facts["request_counts"]["failed" if finished.failed else "completed"] += 1

    def _records(self, failed: bool) -> Path:
        return self.folder / f"{self.id}.{'failed' if failed else 'done'}"

    @property
    def _index(self) -> Path:
        return self.folder / f"{self.id}.index"


class BatchStore:
    """All batches of the account."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._batches: dict[str, StoredBatch] = {stored.id: stored for stored in _kept(folder)}

    def __len__(self) -> int:
        return len(self._batches)

    def new(self, facts: dict[str, Any], route: str, key: str, host: str) -> StoredBatch:
        """Keep a batch that begins."""
        self._folder.mkdir(parents=True, exist_ok=True)
        facts = {"id": f"batch_{secrets.token_hex(16)}", **facts}
        stored = StoredBatch(self._folder, facts, route, key, host, len(self._batches) + 1)
        stored.save()
        self._batches[stored.id] = stored
        return stored

    def find(self, batch_id: str) -> StoredBatch | None:
        """Find a batch by its id; None when there is no such batch."""
        return self._batches.get(batch_id)

    def newest_first(self) -> list[StoredBatch]:
        """List all batches, the newest first."""
        return sorted(self._batches.values(), key=lambda stored: -stored.number)


def _kept(folder: Path) -> Iterator[StoredBatch]:
    for path in sorted(folder.glob("batch_*.json")):
        yield StoredBatch(folder, **json.loads(path.read_text(encoding="utf-8")))


def _copy(source: IO[bytes], target: IO[bytes], length: int) -> None:
    while length > 0:
        piece = source.read(min(length, _PIECE))
        if not piece:
            return
        target.write(piece)
        length -= len(piece)
