"""Names in the output folder: a task's path made safe, its ending by content, its revision."""

from __future__ import annotations

from batchgen.domain.names import fold, safe_segment
from batchgen.store.layout import INDEX

ENDINGS = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}


def safe_path(path: str) -> tuple[str, ...]:
    """Split a task's path into segments that cannot leave the output folder or mean something special.

    Paths come from the manifest already safe and pass unchanged. One that does not (a ledger from a stranger) is
    encoded rather than refused, because the image behind it is paid.

    >>> safe_path("mugs/MUG%2F01-2048x2048-1"), safe_path("../etc/con.d")
    (('mugs', 'MUG%2F01-2048x2048-1'), ('%2E%2E', 'etc', '%63on.d'))
    >>> safe_path("images.jsonl/2048x2048-1")
    ('%69mages.jsonl', '2048x2048-1')
    """
    first, *others = map(_safe, filter(None, path.split("/"))) if path.strip("/") else ("%",)
    if others and fold(first) == INDEX:  # the index has this name; a folder may not
        first = f"%{ord(first[0]):02X}{first[1:]}"
    return (first, *others)


def output_name(path: str, kind: str, revision: int, suffix: str = "") -> str:
    """Add revision and ending to a task's path: `….png` for the first revision, `…-r2.png` for the second.

    The kind is `png`, `jpeg` or `webp`, by content; a suffix tells the file from another that has its name already.

    >>> output_name("mug", "jpeg", 1), output_name("mug", "png", 3, "-a57")
    ('mug.jpg', 'mug-r3-a57.png')
    """
    return f"{path}{f'-r{revision}' if revision > 1 else ''}{suffix}{ENDINGS[kind]}"


def _safe(segment: str) -> str:
    plain = segment.replace("%", "_")  # what is encoded already stays so
    return segment if safe_segment(plain) == plain else safe_segment(segment)
