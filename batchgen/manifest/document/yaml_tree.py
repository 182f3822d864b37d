"""A manifest as a small tree that knows in which line everything stands."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal

import yaml

_WHOLE = re.compile(r"[-+]?(?:0|[1-9]\d{0,17})\Z")
_DECIMAL = re.compile(r"[-+]?(?:0|[1-9]\d{0,17})\.\d{1,17}\Z")
_READ_AS = {"bool": "true or false", "int": "a number", "float": "a number", "timestamp": "a date"}


@dataclass(frozen=True, slots=True)
class Odd:
    """A plain scalar that YAML reads as something its writer hardly meant, like `no` or `12:30:45`."""

    text: str
    read_as: str


Value = str | bool | int | Decimal | None | Odd


@dataclass(slots=True)
class Scalar:
    """Text in the file; `plain` when it was written without quotes."""

    line: int
    column: int
    text: str
    plain: bool

    @property
    def value(self) -> Value:
        """The value that the text stands for. Numbers are exact: a decimal keeps its digits as written."""
        if not self.plain:
            return self.text
        tag = _tag(self.text)
        if tag == "null":
            return None
        if tag == "bool" and self.text.lower() in {"true", "false"}:
            return self.text.lower() == "true"
        if tag == "int" and _WHOLE.match(self.text):
            return int(self.text)
        if tag == "float" and _DECIMAL.match(self.text):
            return Decimal(self.text)
        return Odd(self.text, _READ_AS[tag]) if tag in _READ_AS else self.text


@dataclass(slots=True)
class Sequence:
    """A list in the file."""

    line: int
    column: int
    items: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class Mapping:
    """A mapping in the file; `keys` says where each key stands."""

    line: int
    column: int
    items: dict[str, Node] = field(default_factory=dict)
    keys: dict[str, tuple[int, int]] = field(default_factory=dict)


Node = Scalar | Sequence | Mapping


def to_data(node: Node) -> object:
    """Turn a tree into the plain data that it stands for."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Sequence):
        return [to_data(item) for item in node.items]
    return {key: to_data(item) for key, item in node.items.items()}


def find(root: Node, path: tuple[str | int, ...]) -> Node:
    """Find the node at a path, or the nearest one above it."""
    node = root
    for step in path:
        if isinstance(node, Mapping) and step in node.items:
            node = node.items[str(step)]
        elif isinstance(node, Sequence) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
        else:
            break
    return node


def key_position(root: Node, path: tuple[str | int, ...]) -> tuple[int, int]:
    """Find line and column of the key that a path ends in, or of the nearest thing above it."""
    parent = find(root, path[:-1])
    if isinstance(parent, Mapping) and path[-1] in parent.keys:
        return parent.keys[str(path[-1])]
    return parent.line, parent.column


def _tag(text: str) -> str:
    """Tell the YAML 1.1 type of a plain scalar."""
    for tag, pattern in yaml.SafeLoader.yaml_implicit_resolvers.get(text[:1], ()):
        if pattern.match(text):
            return str(tag).rpartition(":")[2]
    return "str"
