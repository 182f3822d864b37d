"""Keys come from the environment or a `.env` file, and go nowhere but into a request header."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values

from batchgen.domain.errors import UsageError


class KeyRing:
    """The keys of this process. Its repr shows none of them."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    @classmethod
    def of(cls, *folders: Path) -> KeyRing:
        """Read the keys of the environment and of `.env` in some folders; the first that has a variable wins.

        Raises:
            UsageError: a `.env` cannot be read as text.
        """
        values: dict[str, str] = {}
        for folder in reversed(folders):
            if (folder / ".env").is_file():
                values.update(_written(folder / ".env"))
        return cls(values | {name: value for name, value in os.environ.items() if value.strip()})

    def __repr__(self) -> str:
        return "KeyRing(…)"

    def check(self, names: Iterable[str]) -> None:
        """Make sure that these keys are there.

        Raises:
            UsageError: names all that are not set, or the first that cannot be a header value.
        """
        wanted = [name for name in dict.fromkeys(names) if name]
        if missing := [name for name in wanted if not self.has(name)]:
            raise UsageError(_missing(missing))
        for name in wanted:
            self.get(name)

    def get(self, name: str) -> str:
        """Give the key in a variable.

        Raises:
            UsageError: it is not set, or cannot be a header value.
        """
        value = self.text(name)
        if not value:
            raise UsageError(_missing([name]))
        if not value.isascii() or not value.isprintable() or " " in value:
            raise UsageError(f"{name} does not look like a key: it has spaces or characters that no header can carry")
        return value

    def text(self, name: str) -> str:
        """Give what a variable holds, which need not be a key; "" where it is not set."""
        return self._values.get(name, "").strip()

    def has(self, name: str) -> bool:
        """Say whether a variable is set."""
        return bool(self.text(name))

    def fingerprints(self, names: Sequence[str]) -> tuple[str, ...]:
        """Give the fingerprints of several keys, in order.

        Raises:
            UsageError: one is not set, or two variables hold the same key.
        """
        found: dict[str, str] = {}
        for name in names:
            other = found.setdefault(self.fingerprint(name), name)
            if other != name:
                raise UsageError(
                    f"{other} and {name} hold the same key, which has one set of limits; put another key into one of "
                    "them, or name only one"
                )
        return tuple(found)

    def fingerprint(self, name: str) -> str:
        """Give eight hex digits that tell keys apart and reveal nothing; "" for a route that needs no key."""
        return "" if not name else hashlib.sha256(self.get(name).encode()).hexdigest()[:8]


def _written(path: Path) -> dict[str, str]:
    """Read the variables of a `.env` that have a value. What it holds is never in an error: it may be half a key."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # Windows editors put a mark in front
    except UnicodeDecodeError:
        text = "\0"
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}; make it readable for yourself") from None
    if "\0" in text:  # UTF-16 without a mark can be read as UTF-8, too, with a NUL beside each letter
        raise UsageError(f"{path}: not UTF-8 text; save the file as UTF-8")
    return {name: value for name, value in dotenv_values(stream=StringIO(text)).items() if value}


def _missing(names: Sequence[str]) -> str:
    which = "the key is missing" if len(names) == 1 else f"{len(names)} keys are missing"
    listed = f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
    return f"{which}: set {listed} in the environment or in a file .env beside the manifest"
