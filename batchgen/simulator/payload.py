"""How a request comes in: a body of JSON, or a form whose files are put on disk as they arrive."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from tempfile import SpooledTemporaryFile
from typing import IO

from aiohttp import BodyPartReader, web

_PIECE = 1 << 18
_IN_MEMORY = 1 << 20  # bytes of a file above which it goes to disk
_LONGEST_TEXT = 1 << 20


@dataclass(slots=True)
class Upload:
    """A file of a form; closing it gives its room back.

    Attributes:
        name: of the form's field.
        digest: SHA-256 of the content.
    """

    name: str
    filename: str
    file: IO[bytes]
    size: int = 0
    digest: str = ""


@dataclass(slots=True)
class Payload:
    """One request's content.

    Attributes:
        digest: SHA-256 of path and content; of a form, of what its fields hold and not of how they are separated, so
            that the same form sent again is the same request.
        broken: whether a form could not be read to its end.
    """

    path: str
    body: bytes = b""
    is_form: bool = False
    texts: list[tuple[str, str]] = field(default_factory=list)
    uploads: list[Upload] = field(default_factory=list)
    broken: bool = False

    @property
    def digest(self) -> str:
        """SHA-256, hexadecimal, of path and content; the class says of which content."""
        if not self.is_form:
            return sha256(self.path.encode() + self.body).hexdigest()
        hashed = sha256(self.path.encode())
        for name, text in self.texts:
            hashed.update(f"\0{name}={text}".encode("utf-8", "surrogatepass"))
        for upload in self.uploads:
            hashed.update(f"\0{upload.name}={upload.digest}".encode("utf-8", "surrogatepass"))
        return hashed.hexdigest()

    def close(self) -> None:
        """Close the uploads."""
        for upload in self.uploads:
            upload.file.close()


async def receive(request: web.Request) -> Payload:
    """Read a request whole. Files go to disk piece by piece; all else is small or JSON.

    Raises:
        web.HTTPRequestEntityTooLarge: the JSON is longer than the application takes.
    """
    payload = Payload(request.path, is_form=request.content_type == "multipart/form-data")
    if not payload.is_form:
        payload.body = await request.read()
        return payload
    try:
        async for part in await request.multipart():
            if isinstance(part, BodyPartReader):
                await _take(payload, part)
            else:
                payload.broken = True  # a form within a form
    except (ValueError, RuntimeError, AssertionError, EOFError):  # whatever the parser says of a broken form
        payload.broken = True
    except BaseException:
        payload.close()
        raise
    return payload


async def _take(payload: Payload, part: BodyPartReader) -> None:
    if part.filename is None:
        text = bytearray()
        while piece := await part.read_chunk(_PIECE):
            text += piece
            if len(text) > _LONGEST_TEXT:
                raise ValueError("a field without end")
        payload.texts.append((part.name or "", text.decode("utf-8", "replace")))
        return
    # The upload owns the file; `Payload.close` lets it go.
    upload = Upload(part.name or "", part.filename, SpooledTemporaryFile(_IN_MEMORY))  # noqa: SIM115
    payload.uploads.append(upload)
    hashed = sha256()
    while piece := await part.read_chunk(_PIECE):
        hashed.update(piece)
        await _written(upload.file.write, piece, large=upload.size > _IN_MEMORY)
        upload.size += len(piece)
    upload.digest = hashed.hexdigest()


async def _written(write: Callable[[bytes], int], piece: bytes, *, large: bool) -> None:
    """Write in memory at once, to disk in a thread."""
    if large:
        await asyncio.to_thread(write, piece)
    else:
        write(piece)
