"""Edits as a form: the fields of the request and the files beside them (RFC 7578)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from batchgen.domain.wire import FilePiece, Prepared, PreparedInputs

_LIST = "[]"
_QUOTED = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})  # as browsers write names


@dataclass(frozen=True, slots=True)
class Form:
    """What a form holds.

    Attributes:
        fields: names and values of the plain ones.
        field: the name under which references are repeated, `image` or `image[]`.
        inputs: files, no addresses.
    """

    fields: tuple[tuple[str, str], ...]
    field: str
    inputs: PreparedInputs


def encode_form(form: Form) -> tuple[str, tuple[bytes | FilePiece, ...]]:
    """Write a form: its content type and its body. The same content gives the same bytes."""
    boundary = _boundary(form)
    pieces: list[bytes | FilePiece] = []
    text = "".join(_head(boundary, name) + value + "\r\n" for name, value in form.fields)
    for name, image in _files(form):
        if image.file is not None:
            text += _head(boundary, name, image)
            pieces += (text.encode(), FilePiece(image.file.path, image.file.size, image.file.sha256))
            text = "\r\n"
    pieces.append(f"{text}--{boundary}--\r\n".encode())
    return f"multipart/form-data; boundary={boundary}", tuple(pieces)


def _files(form: Form) -> list[tuple[str, Prepared]]:
    """Name the field of each file. OpenAI's own SDK sends one image as `image`, several as `image[]`."""
    references = form.inputs.references
    field = form.field.removesuffix(_LIST) if len(references) == 1 else form.field
    files = [(field, reference) for reference in references]
    return files if form.inputs.mask is None else [*files, ("mask", form.inputs.mask)]


def _head(boundary: str, name: str, image: Prepared | None = None) -> str:
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"'
    if image is None:
        return head + "\r\n\r\n"
    return f'{head}; filename="{image.name.translate(_QUOTED)}"\r\nContent-Type: {image.media}\r\n\r\n'


def _boundary(form: Form) -> str:
    """Make a line that does not occur in the content, because it is a hash of all of it."""
    found = hashlib.sha256(repr(form.fields).encode("utf-8", "surrogatepass"))
    for name, image in _files(form):
        if image.file is not None:
            found.update(f"\n{name} {image.name} {image.media} {image.file.sha256}".encode())
    return f"batchgen-{found.hexdigest()[:48]}"
