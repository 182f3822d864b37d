"""`images.jsonl` in the output folder: one line of JSON per delivered image, for people and other tools.

The ledger is the book; this is a copy that can be read without it, so it is written after the ledger and not synced.
After a kill a line may be missing or stand twice: the last one for a task holds. A ledger that is lost is rebuilt from
it. A file beside every image would cost as much as the image does.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from batchgen.domain.clock import stamp
from batchgen.domain.errors import StoreError
from batchgen.domain.lifecycle import Charge
from batchgen.domain.money import usd_text
from batchgen.domain.output_image import Delivered
from batchgen.store.folder import Folder, make_durable, trouble, write_all
from batchgen.store.layout import INDEX
from batchgen.store.output.origin_json import plain_origin

_HEAD = b'{"key":'  # how every line of ours begins
_TAIL = 64 * 1024
_FIELDS = (
    *("key", "size", "sample", "revision", "file", "sha256", "bytes", "width", "height", "format", "route", "model"),
    *("attempt", "request_id", "cost", "flags", "created"),
)
_FOREIGN = "is not an index that batchgen wrote; move it away, or name another output folder, then run again"
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class ImageIndex:
    """Appends to the index of an output folder. One process at a time writes it."""

    def __init__(self, fd: int, path: str) -> None:
        self._fd = fd
        self._path = path

    @classmethod
    def open(cls, output: Path) -> ImageIndex:
        """Open the index, made if need be; a line torn by a kill is cut off.

        Raises:
            StoreError: it cannot be written, or is not ours.
        """
        path = os.fspath(output / INDEX)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        try:
            fd = os.open(path, flags, 0o600)
            try:
                _mend(fd, path)
            except BaseException:
                os.close(fd)
                raise
        except OSError as error:
            raise trouble(error, "open", path) from error
        return cls(fd, path)

    def add(self, *lines: Delivered) -> None:
        """Append images, all or none. Does not wait for the disk.

        Raises:
            NoRoom: the disk is full. No torn line is left.
            StoreError: it cannot be written.
        """
        text = b"".join(map(write_line, lines))
        before = os.fstat(self._fd).st_size
        try:
            write_all(self._fd, text)
        except OSError as error:
            os.ftruncate(self._fd, before)
            raise trouble(error, "write", self._path) from error

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)


def write_index(output: Path, lines: Iterable[Delivered]) -> int:
    """Make the index of an output folder that has none, whole or not at all; return how many lines it has.

    Raises:
        NoRoom: the disk is full.
        StoreError: it cannot be written.
    """
    new, count = f"{INDEX}.tmp", 0
    try:
        with Folder.open(output) as folder:
            try:
                with open(folder.create_anew(new), "wb") as file:  # noqa: PTH123 - by descriptor
                    for count, line in enumerate(lines, 1):  # noqa: B007 - it is how many there were
                        file.write(write_line(line))
                    file.flush()
                    make_durable(file.fileno())
                folder.rename(new, INDEX)
                folder.sync()
            finally:
                folder.remove(new)
    except OSError as error:
        raise trouble(error, "write", output / INDEX) from error
    return count


def write_line(line: Delivered) -> bytes:
    """Return the line of one image, its line feed included; `index_lines.read_line` is the inverse."""
    origin, image = line.origin, line.image
    record = {
        "key": origin.key,
        "size": origin.size,
        "sample": origin.sample,
        "revision": origin.revision,
        "file": image.path,
        "sha256": image.sha256,
        "bytes": image.bytes,
        "width": image.width,
        "height": image.height,
        "format": image.format,
        "route": origin.route,
        "model": origin.model,
        "attempt": line.attempt,
        "request_id": line.request_ids[0][1] if line.request_ids else "",
        "cost": usd_text(line.billed) if line.charge is Charge.BILLED else None,
        "flags": line.flags,
        "created": stamp(line.created),
        "charge": line.charge,
        "billed_micros": line.billed,
        "request_ids": line.request_ids,
        **plain_origin(origin),  # what stands above already keeps its place
    }
    # A lone surrogate becomes \udXXX, which is how JSON writes it; nothing else can fail to encode.
    return _encode(record).encode("utf-8", "backslashreplace") + b"\n"


def _mend(fd: int, path: str) -> None:
    """Cut off the line that a kill has torn, if the file is one of ours."""
    found = os.fstat(fd)
    size = found.st_size
    if not stat.S_ISREG(found.st_mode) or not _is_ours(os.read(fd, _TAIL)):
        raise StoreError(f"{path} {_FOREIGN}")
    start = max(0, size - _TAIL)
    os.lseek(fd, start, os.SEEK_SET)
    tail = os.read(fd, _TAIL)
    torn = tail[tail.rfind(b"\n") + 1 :]
    if not torn:
        return
    if len(torn) == size > _TAIL or not torn.startswith(_HEAD[: len(torn)]):
        raise StoreError(f"{path} {_FOREIGN}")
    os.ftruncate(fd, size - len(torn))


def _is_ours(head: bytes) -> bool:
    """Tell whether a file that begins so is an index: its first line begins with our fields, or is a torn one."""
    first, ended, _ = head.partition(b"\n")
    if not ended:
        return True  # a torn line is looked at as such
    try:
        return tuple(json.loads(first))[: len(_FIELDS)] == _FIELDS
    except (ValueError, TypeError, RecursionError):
        return False
