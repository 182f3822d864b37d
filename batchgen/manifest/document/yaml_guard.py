"""Reads YAML from strangers: one pass over its events, with limits, into a small tree that knows every line."""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

from batchgen.domain.errors import ManifestError, Problem
from batchgen.manifest.document.yaml_tree import Mapping, Node, Scalar, Sequence
from batchgen.manifest.problems import Problems

MAX_BYTES = 5_000_000
MAX_DEPTH = 20
MAX_KEY = 200
MAX_VALUES = 250_000  # 5 MB of `[]` would be a gigabyte of objects

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_KEY_SHAPED = re.compile(r"\bsk-[A-Za-z0-9_-]{20,}")


def read_tree(data: bytes, file: str, problems: Problems) -> Mapping:
    """Read a manifest's bytes into a tree.

    Duplicate keys and key-shaped secrets are added to `problems`; the rest makes the file unreadable.

    Raises:
        ManifestError: not UTF-8, not YAML, not one mapping; over 5 MB, 20 levels or 250,000 values; with an anchor,
            an alias or a tag.
    """
    text = _decode(data, file)
    for number, line in enumerate(text.split("\n"), 1) if "sk-" in text else ():
        if found := _KEY_SHAPED.search(line):
            words = "this looks like an API key; keep keys in the environment or in .env, and renew this one"
            problems.add(Problem(file, number, found.start() + 1, "", words))
    builder = _Builder(file, problems)
    try:
        for event in _events(text):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        raise ManifestError([Problem(file, *place, "", _explained(str(error.problem or error.context)))]) from None
    except yaml.YAMLError as error:
        raise ManifestError([Problem(file, 0, 0, "", f"not YAML: {' '.join(str(error).split())}")]) from None
    if not isinstance(builder.root, Mapping):
        raise ManifestError([Problem(file, 0, 0, "", "a manifest is a mapping that begins with version: 1")])
    return builder.root


_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"
_HINTS = {
    "mapping values are not allowed": "put a text with a colon in quotes",
    "did not find expected": "look at the indentation, here and in the line above",
    "cannot start any token": "indent with blanks, and put a text that begins with a special character in quotes",
}


def _explained(words: str) -> str:
    """Add what usually helps to the parser's words. A newer parser meets its own limit of levels before ours."""
    if "nesting depth" in words:
        return _TOO_DEEP
    return f"not YAML: {words}" + next((f"; {hint}" for mark, hint in _HINTS.items() if mark in words), "")


def _decode(data: bytes, file: str) -> str:
    if len(data) > MAX_BYTES:
        words = (
            f"larger than {MAX_BYTES // 1_000_000} MB; put the prompts in a CSV or JSONL catalog and name it with from:"
        )
        raise ManifestError([Problem(file, 0, 0, "", words)])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ManifestError([Problem(file, line, 0, "", "not UTF-8 text; save the file as UTF-8")]) from None


def _events(text: str) -> Iterator[yaml.Event]:
    return yaml.parse(text, Loader=_LOADER)


class _Builder:
    """Takes events one by one and keeps no more than the tree and the way down to its open end."""

    def __init__(self, file: str, problems: Problems) -> None:
        self.root: Node | None = None
        self._file = file
        self._problems = problems
        self._open: list[Sequence | Mapping] = []
        self._keys: list[str | None] = []  # beside _open: the key that waits for its value
        self._values = 0

    def take(self, event: yaml.Event) -> None:
        mark = event.start_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        if isinstance(event, yaml.DocumentStartEvent) and self.root is not None:
            self._refuse(line, column, "a second document begins here; a manifest is one document")
        if isinstance(event, yaml.CollectionEndEvent):
            self._open.pop()
            self._keys.pop()
        elif isinstance(event, yaml.NodeEvent):
            self._check(event, line, column)
            self._node(event, line, column)

    def _check(self, event: yaml.NodeEvent, line: int, column: int) -> None:
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            self._refuse(line, column, "anchors (&) and aliases (*) are not taken; quote the text if none was meant")
        if getattr(event, "tag", None) is not None:
            self._refuse(line, column, "tags (!) are not taken; quote the text if none was meant")
        self._values += 1
        if self._values > MAX_VALUES:
            words = f"more than {MAX_VALUES:,} values; put the prompts in a CSV or JSONL catalog and name it with from:"
            self._refuse(line, column, words)

    def _node(self, event: yaml.NodeEvent, line: int, column: int) -> None:
        parent = self._open[-1] if self._open else None
        awaits_key = isinstance(parent, Mapping) and self._keys[-1] is None
        if isinstance(event, yaml.ScalarEvent):
            if awaits_key and isinstance(parent, Mapping):
                self._key(parent, event.value, line, column)
            else:
                self._place(Scalar(line, column, event.value, bool(event.implicit[0])))
            return
        if awaits_key:
            self._refuse(line, column, 'a key must be plain text; a template stands in quotes, like id: "{{ sku }}"')
        if len(self._open) >= MAX_DEPTH:
            self._refuse(line, column, _TOO_DEEP)
        opened = Mapping(line, column) if isinstance(event, yaml.MappingStartEvent) else Sequence(line, column)
        self._place(opened)
        self._open.append(opened)
        self._keys.append(None)

    def _key(self, mapping: Mapping, key: str, line: int, column: int) -> None:
        if len(key) > MAX_KEY or not key.isprintable():
            words = f"a key is up to {MAX_KEY} printable characters, and this one begins with {key[:40]!a}"
            self._refuse(line, column, words)
        self._keys[-1] = key
        if key in mapping.keys:
            words = f"stands here a second time (first in line {mapping.keys[key][0]}); keep one"
            self._problems.add(Problem(self._file, line, column, key, words))
        else:
            mapping.keys[key] = (line, column)

    def _place(self, node: Node) -> None:
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        if isinstance(parent, Sequence):
            parent.items.append(node)
        else:
            parent.items.setdefault(str(self._keys[-1]), node)
            self._keys[-1] = None

    def _refuse(self, line: int, column: int, words: str) -> None:
        raise ManifestError([Problem(self._file, line, column, "", words)])
