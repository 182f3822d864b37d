"""Keys come from the environment or a `.env` file, and go nowhere but into a request header."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from batchgen.domain.errors import UsageError


class Keys:
    """The keys of this process. Its repr shows none of them."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    @classmethod
    def of(cls, *folders: Path) -> Keys:
        """Those of the environment and of `.env` in these folders; the first that has a variable wins."""
        from dotenv import dotenv_values

        values: dict[str, str] = {}
        for folder in reversed(folders):
            found = dotenv_values(folder / ".env") if (folder / ".env").is_file() else {}
            values.update({name: value for name, value in found.items() if value})
        return cls(values | {name: value for name, value in os.environ.items() if value.strip()})

    def __repr__(self) -> str:
        return "Keys(…)"

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
        """The key in one variable.

        Raises:
            UsageError: it is not set, or cannot be a header value.
        """
        value = self._values.get(name, "").strip()
        if not value:
            raise UsageError(_missing([name]))
        if not value.isascii() or not value.isprintable() or " " in value:
            raise UsageError(f"{name} does not look like a key: it has spaces or characters that no header can carry")
        return value

    def has(self, name: str) -> bool:
        """Whether the variable is set."""
        return bool(self._values.get(name, "").strip())

    def fingerprint(self, name: str) -> str:
        """Eight hex digits that tell keys apart and reveal nothing; "" for a route that needs no key."""
        return "" if not name else hashlib.sha256(self.get(name).encode()).hexdigest()[:8]


def _missing(names: Sequence[str]) -> str:
    which = "the key is missing" if len(names) == 1 else f"{len(names)} keys are missing"
    listed = f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
    return f"{which}: set {listed} in the environment or in a file .env beside the manifest"
