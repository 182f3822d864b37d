"""A body that is the picture itself: no JSON around it, only bytes."""

from __future__ import annotations

import re

from batchgen.gateway.scan import MAX_PICTURE, ScannedPicture

HEAD = 12  # bytes that tell
_SIGNATURE = re.compile(rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|RIFF....WEBP", re.DOTALL)
_BEGINS = frozenset(b"\x89\xffR")
_NO_PICTURE = re.compile(rb"[\s\xef\xbb\xbf]*[{\[<]")


def may_be_picture(head: bytes) -> bool:
    """Tell whether more than these first bytes must be seen to know."""
    return len(head) < HEAD and head[:1] != b"" and head[0] in _BEGINS


def is_picture(head: bytes, content_type: str) -> bool:
    """Tell whether a body is a picture: by its first bytes, or because it is said to be one and is nothing else."""
    said = content_type.lower().startswith("image/") and _NO_PICTURE.match(head) is None
    return said or _SIGNATURE.match(head) is not None


class PictureBody:
    """Takes such a body, as `Scanner` takes one of JSON; there is no text around the one picture.

    Attributes:
        pictures: that one.
        too_large: as of a scanner.
    """

    text = ""
    tail = ""
    inside = False

    def __init__(self) -> None:
        self.pictures = [ScannedPicture(own=True)]
        self.too_large = ""

    def may_be_whole(self) -> bool:
        """Tell that only the connection knows its end."""
        return False

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Take the next piece; gives it as a piece of the picture."""
        self.pictures[0].size += len(data)
        if self.pictures[0].size > MAX_PICTURE:
            self.too_large = f"a picture passed {MAX_PICTURE >> 20} MiB"
        return [(0, data)]

    def finish(self, *, cut: bool = False) -> None:
        """End the body."""
        if cut:
            self.pictures[0].damage = "the answer ended inside the picture"
