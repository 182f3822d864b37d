"""What lies in an output folder beside the images that the books name: strangers, and what is on its way in."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from batchgen.ledger.audit import Finding
from batchgen.ledger.records import OpenTask
from batchgen.store.layout import KEPT, PART, SPOOL, attempt_of
from batchgen.store.output.file_names import ENDINGS, safe_path

_IMAGES = frozenset({".jpeg", *ENDINGS.values()})
_COPY = re.compile(r"\.batchgen-(\d{1,18})\.part\Z", re.ASCII)
_OTHER_NAME = re.compile(r"(.*)-a(\d{1,18})(?:-\d{1,3})?\Z", re.ASCII | re.DOTALL)


@dataclass(slots=True)
class Walk:
    """Output folders as they were found, before the books were read. Paths are absolute, with `/`.

    Attributes:
        images: files that look like images.
        copies: copies under way, each with its attempt.
        spooled: names of files of attempts, by spool.
        parts: attempts by the device and inode of a picture in the spool: its image is one more name for the same.
        sizes: bytes of an attempt's pictures in the spool: its image is a copy where there are no links.
        kept: attempts whose answers are kept, by output folder.
        unread: folders that could not be looked into.
    """

    images: set[str] = field(default_factory=set)
    copies: dict[str, int] = field(default_factory=dict)
    spooled: dict[Path, list[str]] = field(default_factory=dict)
    parts: dict[tuple[int, int], int] = field(default_factory=dict)
    sizes: defaultdict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    kept: dict[Path, set[int]] = field(default_factory=dict)
    unread: list[Finding] = field(default_factory=list)


def walk(folders: Iterable[Path]) -> Walk:
    """Look through output folders: images first, so that what is placed meanwhile still has its part in the spool."""
    found = Walk()
    for folder in folders:
        _images(folder, found)
        found.spooled[folder / SPOOL] = _spool(folder / SPOOL, found)
        found.kept[folder] = {attempt_of(name) or 0 for name in _spool(folder / SPOOL / KEPT, found)}
    return found


def on_their_way(found: Walk, tasks: Iterable[OpenTask]) -> Iterator[tuple[str, int]]:
    """Take the files of open attempts, and of kept answers, out of what was found; each with its attempt.

    A file that only has the name of such an image is none: it must be its picture in the spool, or as long.
    """
    open_tasks = list(tasks)
    attempts = {task.attempt for task in open_tasks}.union(*found.kept.values())
    stems = {_stem(task): task.attempt for task in open_tasks}
    yield from ((path, copied) for path, copied in found.copies.items() if copied in attempts)
    for path in sorted(found.images):
        attempt = _attempt_of(path, found, attempts, stems)
        if attempt is not None:
            found.images.discard(path)
            yield path, attempt


def _images(folder: Path, found: Walk) -> None:
    def unread(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # that is told of each image, or it went while we looked
            found.unread.append(Finding("file", str(error.filename), f"cannot be read: {error.strerror}"))

    for parent, folders, files in os.walk(folder, onerror=unread):
        if SPOOL in folders:
            folders.remove(SPOOL)
        for name in files:
            if Path(name).suffix.lower() in _IMAGES:
                found.images.add(Path(parent, name).as_posix())
            elif under_way := _COPY.match(name):
                found.copies[Path(parent, name).as_posix()] = int(under_way[1])


def _spool(spool: Path, found: Walk) -> list[str]:
    """Give the names of files of attempts, and note their pictures."""
    try:
        names = sorted(entry.name for entry in spool.iterdir() if attempt_of(entry.name) is not None)
    except FileNotFoundError:
        return []
    except OSError as error:
        found.unread.append(Finding("file", str(spool), f"cannot be read: {error.strerror}"))
        return []
    for name in names:
        if name.endswith(PART) and (known := _stat(spool / name)) is not None:
            attempt = attempt_of(name) or 0
            found.parts[known.st_dev, known.st_ino] = attempt
            found.sizes[attempt].add(known.st_size)
    return names


def _attempt_of(path: str, found: Walk, attempts: set[int], stems: dict[str, int]) -> int | None:
    known = _stat(Path(path))
    if known is None:
        return None
    part = found.parts.get((known.st_dev, known.st_ino))
    if part in attempts:
        return part
    stem = Path(path).with_suffix("").as_posix()
    attempt, other = stems.get(stem), _OTHER_NAME.match(stem)
    if attempt is None and other is not None and stems.get(other[1]) == int(other[2]):
        attempt = int(other[2])
    # Empty is what claims a name before a copy is renamed over it.
    return attempt if attempt is not None and known.st_size in {0, *found.sizes.get(attempt, ())} else None


def _stem(task: OpenTask) -> str:
    revision = f"-r{task.revision}" if task.revision > 1 else ""
    return f"{task.output.as_posix()}/{'/'.join(safe_path(task.path))}{revision}"


def _stat(path: Path) -> os.stat_result | None:
    """What is known of a file; None when it is not there any more."""
    try:
        return path.lstat()
    except OSError:
        return None
