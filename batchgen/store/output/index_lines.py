"""What an output folder tells of its images without a ledger: the lines of its index, read with distrust."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from batchgen.domain.errors import StoreError
from batchgen.domain.lifecycle import Charge
from batchgen.domain.output_image import Delivered, Image, IndexLine
from batchgen.store.folder import trouble
from batchgen.store.layout import INDEX, KEPT, SPOOL, attempt_of
from batchgen.store.output.file_names import ENDINGS
from batchgen.store.output.origin_json import MOST, one_of, read_origin, whole, words

_LONGEST = 256 * 1024  # bytes of one line; ours have about one thousand
_TAIL = 64 * 1024
_SHA256 = re.compile(r"[0-9a-f]{64}\Z", re.ASCII)
_FLAG = re.compile(r"[a-z_]{1,40}\Z", re.ASCII)
_SEGMENTS = re.compile(r"[^/\\\0]+(?:/[^/\\\0]+)*\Z")
_CHARGES = frozenset({Charge.BILLED.value, Charge.UNKNOWN.value, Charge.VOID.value})
_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def read_line(data: bytes) -> Delivered:
    """Read one line, as `image_index.write_line` writes it.

    Raises:
        ValueError: the line is none that this program writes; the message says what is wrong.
    """
    try:
        record = json.loads(data, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("it is no JSON of this program's") from None
    if not isinstance(record, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004 - it is about what is written there
    return Delivered(
        origin=read_origin(record),
        image=_image(record),
        flags=_flags(record),
        attempt=whole(record, "attempt", least=1),
        request_ids=_pairs(record),
        charge=Charge(one_of(record, "charge", _CHARGES)),
        billed=_billed(record),
        created=_moment(record),
    )


def lines_of(output: Path) -> Iterator[IndexLine]:
    """Yield every line of an output folder's index, in order; none where there is no index.

    Raises:
        StoreError: the index cannot be read.
    """
    try:
        with _opened(output) as file:
            for number, data in enumerate(_pieces(file), 1):
                yield _told(number, data)
    except FileNotFoundError:
        return
    except OSError as error:
        raise trouble(error, "read", output / INDEX) from error


def newest(output: Path) -> tuple[list[Delivered], frozenset[int]]:
    """Return what the end of the index tells, and whose files lie in the spool, kept answers among them. Cheap.

    Raises:
        StoreError: one of them cannot be read.
    """
    try:
        tail = _tail(output)
    except FileNotFoundError:
        tail = []
    except OSError as error:
        raise trouble(error, "read", output / INDEX) from error
    found = [image for data in tail if (image := _told(0, data).image) is not None]
    names = [*_names(output / SPOOL), *_names(output / SPOOL / KEPT)]
    return found, frozenset(number for name in names if (number := attempt_of(name)) is not None and 0 < number <= MOST)


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names alone
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise trouble(error, "read", folder) from error


def _tail(output: Path) -> list[bytes]:
    with _opened(output) as file:
        size = file.seek(0, os.SEEK_END)
        start = max(0, size - _TAIL)
        file.seek(start)
        lines = file.read(_TAIL).splitlines(keepends=True)
    return lines[1:] if start else lines


def _opened(output: Path) -> BinaryIO:
    file = open(os.open(output / INDEX, _READ), "rb")  # noqa: PTH123, SIM115 - by descriptor; whoever calls closes it
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise StoreError(f"{output / INDEX} is no regular file; move it away, then try again")
    return file


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines; of one that is too long only its beginning."""
    while data := file.readline(_LONGEST):
        yield data
        rest = data
        while len(rest) == _LONGEST and not rest.endswith(b"\n"):
            rest = file.readline(_LONGEST)


def _told(number: int, data: bytes) -> IndexLine:
    if not data.endswith(b"\n"):
        long = len(data) >= _LONGEST
        return IndexLine(number, None, "it is too long to be one of this program's" if long else "it is torn")
    try:
        return IndexLine(number, read_line(data))
    except ValueError as error:
        return IndexLine(number, None, str(error).partition("\n")[0][:200])


def _image(record: dict[str, Any]) -> Image:
    path, sha256, kind = words(record, "file"), words(record, "sha256"), one_of(record, "format", ENDINGS)
    if not _SEGMENTS.match(path) or {".", "..", SPOOL} & set(path.split("/")) or not path.endswith(ENDINGS[kind]):
        raise ValueError("`file` is no image below the output folder")
    if not _SHA256.match(sha256):
        raise ValueError("`sha256` is no checksum")
    width, height = (whole(record, name, least=1, most=1_000_000) for name in ("width", "height"))
    return Image(path, sha256, whole(record, "bytes", least=1), width, height, kind)


def _flags(record: dict[str, Any]) -> tuple[str, ...]:
    found = record.get("flags")
    if not isinstance(found, list) or not all(isinstance(flag, str) and _FLAG.match(flag) for flag in found):
        raise ValueError("`flags` are none of this program's")
    return tuple(found[:20])


def _pairs(record: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    found = record.get("request_ids")
    if not isinstance(found, list) or len(found) > 50:
        raise ValueError("`request_ids` is no list")
    for pair in found:
        if not (isinstance(pair, list) and len(pair) == 2):
            raise ValueError("`request_ids` has what is no pair")
    texts = chain.from_iterable(found)
    flat = [words({"request_ids": each}, "request_ids", empty=True) for each in texts]
    return tuple(zip(flat[::2], flat[1::2], strict=True))


def _billed(record: dict[str, Any]) -> int:
    billed = whole(record, "billed_micros")
    if billed and record["charge"] == Charge.VOID:
        raise ValueError("`billed_micros` is money for what was free")
    return billed


def _moment(record: dict[str, Any]) -> float:
    with suppress(TypeError, ValueError):
        return datetime.strptime(record.get("created", ""), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    raise ValueError("`created` is no moment")


def _no_number(name: str) -> float:
    raise ValueError(f"it has {name}, which is no number")
