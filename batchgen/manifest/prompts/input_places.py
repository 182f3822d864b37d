"""Where references and masks are, as a manifest writes it: a path below its folder, or an address."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urlsplit

from batchgen.domain.inputs import is_address

MAX_PLACE = 4_000  # characters; signed addresses are long

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
_DRIVE = re.compile(r"[A-Za-z]:")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class Places(NamedTuple):
    """Where the input images of one prompt are; "" for no mask."""

    references: tuple[str, ...] = ()
    mask: str = ""


NO_PLACES = Places()


class BadPlace(ValueError):
    """A text that is no place.

    Attributes:
        why: the message without the text, the same for all texts that have the same fault.
    """

    def __init__(self, text: str, why: str) -> None:
        super().__init__(f"{text[:100]} {why}")
        self.why = why


def read_place(text: str) -> str:
    """Bring a place into its one form: `./a//b.jpg` is `a/b.jpg`.

    Raises:
        BadPlace: an absolute path, one that leaves the folder, an address of another kind; one clear sentence.
    """
    if _CONTROL.search(text):
        raise BadPlace(ascii(text)[1:-1], "holds a control character")
    if len(text) > MAX_PLACE:
        raise BadPlace(text, f"… has {len(text):,} characters; {MAX_PLACE:,} are the most")
    head, mark, rest = text.partition("://")
    if mark and is_address(f"{head.lower()}://"):
        return _address(f"{head.lower()}://{rest}")
    if (scheme := _SCHEME.match(text)) and (text.startswith("//", scheme.end()) or scheme[1].lower() in _KNOWN):
        raise BadPlace(text, "is neither a file nor an https address; name a file, or write https://")
    return _path(text)


_KNOWN = {"http", "https", "data", "file", "ftp", "s3", "gs", "blob"}


def _path(text: str) -> str:
    if "\\" in text:
        raise BadPlace(text, "has a backslash; write / between folders")
    if text.startswith("/") or _DRIVE.match(text):
        raise BadPlace(text, "is an absolute path; put the file below the manifest's folder, and write its path there")
    if text.startswith("~"):
        raise BadPlace(text, "begins with ~, which is not expanded; write the path below the manifest's folder")
    parts = [part for part in text.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise BadPlace(text, "leads out of the manifest's folder; put the file below it")
    if not parts:
        raise BadPlace(text, "is the manifest's folder, not a file")
    return "/".join(parts)


def _address(text: str) -> str:
    if " " in text:
        raise BadPlace(text, "holds a blank; write %20 in an address")
    try:
        split = urlsplit(text)
        host, user = split.hostname, split.username or split.password
    except ValueError:
        host = user = None
    if not host:
        raise BadPlace(text, "is not an address")
    if user:
        raise BadPlace(f"https://…@{host}", "holds a user name or password, which the gateway would see; leave it out")
    return text
