"""From the spool to the output folder: check, then one more name for the same bytes, never over another file.

Safe at any kill: the spool keeps its name for the bytes until the ledger has the image, and placing again finds what
an earlier try put there.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import Lock

from batchgen.domain.errors import StoreError
from batchgen.domain.output_image import Damaged, Image
from batchgen.store.checks.image import BadImage, Decoder, ImageFacts, NotJudged, examine
from batchgen.store.checks.stream import PIECE
from batchgen.store.folder import Folder, NotAFile, make_durable, trouble, write_all
from batchgen.store.layout import QUARANTINE
from batchgen.store.output.file_names import output_name, safe_path
from batchgen.store.output.output_folders import OutputFolders
from batchgen.store.quarantine import set_aside

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV, errno.EINVAL}
_OTHER_NAMES = 100
_claiming = Lock()


@dataclass(frozen=True, slots=True)
class Spooled:
    """Names a file of the open spool."""

    spool: Folder
    file: str

    @property
    def path(self) -> str:
        """Return where it lies."""
        return self.spool.where(self.file)


@dataclass(frozen=True, slots=True)
class Spot:
    """Says where an image belongs.

    Attributes:
        path: below the output folder, without ending or revision, `/` as separator.
        attempt: tells the image from another file that has its name already (`…-a57.png`).
    """

    path: str
    revision: int
    attempt: int


def place(source: Path, output: Path, path: str, revision: int, attempt: int, decoder: Decoder) -> Image | Damaged:
    """Check an image of the spool wholly and give it its name in the output folder. For one hop to a thread.

    The source is durable already and stays where it is. The path is as in `Spot`.

    Raises:
        StoreError: the output folder cannot be used as asked; the spool keeps the bytes.
    """
    try:
        with Folder.open(source.parent) as spool, Folder.open(output) as root:
            return place_within(Spooled(spool, source.name), root, Spot(path, revision, attempt), decoder)
    except OSError as error:
        raise trouble(error, "open", output) from error


def place_within(source: Spooled, root: Folder, spot: Spot, decoder: Decoder) -> Image | Damaged:
    """Check and name an image as `place` does, with the two folders held open."""
    try:
        facts = _examine(source, decoder)
    except (BadImage, NotJudged) as bad:
        return Damaged(bad.reason, set_aside(source.spool, source.file), sure=isinstance(bad, BadImage))
    except FileNotFoundError:
        return _from_quarantine(source, decoder)
    except NotAFile as bad:
        return Damaged(f"it cannot be read: {bad.strerror}", set_aside(source.spool, source.file))
    except OSError as error:
        raise trouble(error, "read", source.path) from error
    return _put_in_place(source, root, spot, facts)


def place_or_leave(source: Spooled, root: Folder, spot: Spot, decoder: Decoder) -> Image | Damaged:
    """Check and name an image as `place_within` does; one that is not whole stays where it is, and may be tried again.

    Raises:
        StoreError: the output folder cannot be used as asked.
    """
    try:
        facts = _examine(source, decoder)
    except (BadImage, NotJudged) as bad:
        return Damaged(bad.reason, source.file, sure=isinstance(bad, BadImage))
    except (FileNotFoundError, NotAFile) as bad:
        return Damaged(f"it cannot be read: {bad.strerror}", source.file)
    except OSError as error:
        raise trouble(error, "read", source.path) from error
    return _put_in_place(source, root, spot, facts)


def _put_in_place(source: Spooled, root: Folder, spot: Spot, facts: ImageFacts) -> Image:
    *parents, name = safe_path(spot.path)
    way = OutputFolders(root, parents)
    try:
        final = _give_name(source, way.last, name, facts, spot)
        way.make_durable()
    except OSError as error:
        raise trouble(error, "write the image to", way.last.path) from error
    finally:
        way.close()
    return Image(
        "/".join((*parents, final)), facts.sha256, facts.bytes, facts.width, facts.height, facts.format, facts.blank
    )


def _examine(source: Spooled, decoder: Decoder) -> ImageFacts:
    with _closing(source.spool.read_file(source.file)) as fd:
        return examine(fd, source.path, decoder)


def _from_quarantine(source: Spooled, decoder: Decoder) -> Damaged:
    """Judge a file that is not in the spool: an earlier try, which died before it was booked, moved it."""
    kept = f"{QUARANTINE}/{source.file}"
    try:
        with source.spool.child(QUARANTINE) as quarantine:
            _examine(Spooled(quarantine, source.file), decoder)
    except (BadImage, NotJudged) as bad:
        return Damaged(bad.reason, kept, sure=isinstance(bad, BadImage))
    except FileNotFoundError:
        return Damaged("its bytes are no longer in the spool", "")
    except OSError as error:
        raise trouble(error, "read", source.path) from error
    return Damaged("it was set aside", kept)


def _give_name(source: Spooled, folder: Folder, name: str, facts: ImageFacts, spot: Spot) -> str:
    """Put the image under its name, or under the first of its other names that is free or holds it already."""
    for number in range(_OTHER_NAMES):
        suffix = "" if not number else f"-a{spot.attempt}" if number == 1 else f"-a{spot.attempt}-{number}"
        final = output_name(name, facts.format, spot.revision, suffix)
        try:
            _put(source, folder, final, spot.attempt)
        except FileExistsError:
            if not _holds(folder, final, source, facts):
                continue
        return final
    raise StoreError(f"{folder.path} has files under every name for {name}; move them away, then run again")


def _put(source: Spooled, folder: Folder, final: str, attempt: int) -> None:
    """Give the spool's file, which is durable, a second name; where there are no links, make a durable copy."""
    try:
        source.spool.link(source.file, final, folder)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _copy(source, folder, final, attempt)


def _copy(source: Spooled, folder: Folder, final: str, attempt: int) -> None:
    """Copy beside the final name, claim that name with an empty file, rename over it.

    A kill between the last two leaves an empty file, which the next try takes for its own claim.
    """
    beside = f".batchgen-{attempt}.part"
    with _closing(source.spool.read(source.file)) as ours, _closing(folder.create_anew(beside)) as copy:
        while piece := os.read(ours, PIECE):
            write_all(copy, piece)
        make_durable(copy)
    with _claiming:  # so that the empty file of another thread is never taken for one of the dead
        taken = folder.stat(final)
        if taken is None:
            os.close(folder.create(final))
        elif taken.st_size or not stat.S_ISREG(taken.st_mode):
            folder.remove(beside)
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), final)
        folder.rename(beside, final)


def _holds(folder: Folder, final: str, source: Spooled, facts: ImageFacts) -> bool:
    """Tell whether a name is the very image already: put there by a try that died before it was booked."""
    there = folder.stat(final)
    if there is None or not stat.S_ISREG(there.st_mode) or there.st_size != facts.bytes:
        return False
    ours = source.spool.stat(source.file)
    if ours is not None and (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino) and there.st_ino:
        return True
    digest = sha256()
    with _closing(folder.read(final)) as fd:
        while piece := os.read(fd, PIECE):
            digest.update(piece)
    return digest.hexdigest() == facts.sha256


@contextmanager
def _closing(fd: int) -> Iterator[int]:
    try:
        yield fd
    finally:
        os.close(fd)
