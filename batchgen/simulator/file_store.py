"""Uploaded and produced files, as plain files in one folder that outlive the process."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from batchgen.domain.clock import Clock

_ID = re.compile(r"file-[0-9A-Za-z]{8,64}\Z")
_BATCH_LIFE = 30 * 86_400  # seconds an input of a batch is kept (files reference)


class FileStore:
    """The files of the account. Two things on disk each: the content, and its description beside it.

    Attributes:
        folder: where the simulator keeps its things; a borrowed one when it was given none.
    """

    def __init__(self, folder: Path | None, clock: Clock) -> None:
        self._borrowed = TemporaryDirectory(prefix="batchgen-simulator-") if folder is None else None
        self.folder = Path(self._borrowed.name) if self._borrowed is not None else Path(folder or "")
        self._folder = self.folder / "files"
        self._clock = clock

    def close(self) -> None:
        """Give a borrowed folder back."""
        if self._borrowed is not None:
            self._borrowed.cleanup()

    def add(self, source: IO[bytes], filename: str, purpose: str, life: int | None = None) -> dict[str, Any]:
        """Keep a copy of a file from its beginning, and return its description; `life` is in seconds."""
        source.seek(0)
        content = self.draft()
        with content.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        return self.adopt(content, filename, purpose, life)

    def draft(self) -> Path:
        """Name a path where a file that is to be adopted can be written."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder / f"draft-{secrets.token_hex(8)}"

    def adopt(self, content: Path, filename: str, purpose: str, life: int | None = None) -> dict[str, Any]:
        """Take a finished draft in, and return its description, as the API does."""
        now = int(self._clock.now())
        life = _BATCH_LIFE if life is None and purpose == "batch" else life
        facts: dict[str, Any] = {
            "id": f"file-{secrets.token_hex(12)}",
            "object": "file",
            "bytes": content.stat().st_size,
            "created_at": now,
            "expires_at": None if life is None else now + life,
            "filename": filename,
            "purpose": purpose,
            "status": "processed",
            "status_details": None,
        }
        content.rename(self._folder / facts["id"])
        save(self._folder / f"{facts['id']}.json", facts)
        return facts

    def find(self, file_id: str) -> dict[str, Any] | None:
        """Find the description of a file that is there and has not expired; None when there is none."""
        if not _ID.match(file_id):
            return None
        try:
            facts: dict[str, Any] = json.loads((self._folder / f"{file_id}.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        expires = facts["expires_at"]
        return facts if expires is None or expires > self._clock.now() else None

    def path(self, file_id: str) -> Path | None:
        """Find where the content is; None when there is no such file."""
        return self._folder / file_id if self.find(file_id) else None

    def open(self, file_id: str) -> IO[bytes] | None:
        """Open the content, to be closed by the caller; None when there is no such file."""
        path = self.path(file_id)
        return path.open("rb") if path else None

    def delete(self, file_id: str) -> bool:
        """Delete a file, and say whether there was one."""
        if self.find(file_id) is None:
            return False
        for path in (self._folder / f"{file_id}.json", self._folder / file_id):
            path.unlink(missing_ok=True)
        return True


def save(path: Path, value: object) -> None:
    """Write JSON so that a reader finds the old or the new text, never a part."""
    draft = path.with_suffix(f".{os.getpid()}.tmp")
    draft.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    draft.replace(path)
