"""From a tree to keys: every slip becomes one sentence at its place, and reading goes on with what is right."""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from batchgen.domain.errors import Problem
from batchgen.manifest.document.schema import CatalogPrompt, LimitKeys, ManifestKeys, Output
from batchgen.manifest.document.yaml_tree import Mapping, Odd, Scalar, find, key_position, to_data
from batchgen.manifest.problems import Problems
from batchgen.manifest.suggestions import did_you_mean, one_of

Loc = tuple[str | int, ...]

_TAGS = frozenset({"written", "catalog"})
_BELOW: dict[str, type[BaseModel]] = {"output": Output, "limits": LimitKeys}
_MEANT = {"n": "count", "model": "route", "prompt": "text", "csv": "from", "images": "count", "catalog": "from"} | (
    dict.fromkeys(("image", "photo", "photos", "input", "inputs", "ref", "refs"), "references")
)
_LISTS = {"references": '["photos/mug.jpg"]', "images_from": '["http://img.example"]'}
_STAND_INS: dict[str, Any] = {
    "version": 1,
    "name": "unnamed",
    "route": "",
    "prompts": ({"id": "unread", "text": "unread"},),
}
_REQUIRED = {
    "version": "write version: 1",
    "name": "name the job, for instance name: spring-catalog",
    "route": "name the route, for instance route: apiyi/gpt-image-2-vip",
    "prompts": "list at least one prompt with id: and text:",
    "id": 'write what you know the prompt by; with a catalog a template, for instance id: "{{ sku }}"',
    "text": 'write the prompt; with a catalog a template, for instance text: "Photo of {{ name }}"',
}


@dataclass(frozen=True, slots=True)
class Validated:
    """The keys of a manifest as far as they are right.

    Attributes:
        bad: dotted names of keys that are wrong and stand at their defaults here.
        bad_prompts: entries of `prompts` that cannot be read.
    """

    keys: ManifestKeys
    bad: set[str] = field(default_factory=set)
    bad_prompts: set[int] = field(default_factory=set)


def validate(root: Mapping, file: str, problems: Problems) -> Validated:
    """Check the tree of a manifest against the schema; what is wrong becomes a problem, and is left out."""
    data: Any = to_data(root)
    try:
        return Validated(ManifestKeys.model_validate(data))
    except ValidationError as error:
        found = error.errors(include_url=False)
    bad: set[str] = set()
    bad_prompts: set[int] = set()
    for each in found:
        loc = _without_tag(each["loc"])
        problems.add(_problem(root, file, loc, each))
        _leave_out(data, loc, each["type"], bad, bad_prompts)
    return Validated(ManifestKeys.model_validate(data), bad, bad_prompts)


def _without_tag(loc: Loc) -> Loc:
    """Name a fault's place in the manifest, without a prompt's kind, which the library puts after its number.

    Keys may have such names, so that nothing else of the place is left out.
    """
    return loc[:2] + loc[3:] if loc[0] == "prompts" and len(loc) > 2 and loc[2] in _TAGS else loc


def _leave_out(data: Any, loc: Loc, kind: str, bad: set[str], bad_prompts: set[int]) -> None:
    """Put something harmless in the place of what is wrong."""
    if kind == "extra_forbidden":
        below = data
        for step in loc[:-1]:
            below = below[step]
        below.pop(loc[-1], None)
    elif loc[0] == "prompts" and len(loc) > 1 and isinstance(loc[1], int):
        bad_prompts.add(loc[1])
        data["prompts"][loc[1]] = {"id": "unread", "text": "unread"}
    elif loc[0] in _BELOW and len(loc) > 1:
        bad.add(f"{loc[0]}.{loc[1]}")
        data[loc[0]].pop(loc[1], None)
    else:
        bad.add(str(loc[0]))
        data.pop(loc[0], None)
        if loc[0] == "prompts":
            bad_prompts.add(0)
        if loc[0] in _STAND_INS:
            stand_in = _STAND_INS[str(loc[0])]
            data[loc[0]] = list(stand_in) if isinstance(stand_in, tuple) else stand_in


def _problem(root: Mapping, file: str, loc: Loc, error: ErrorDetails) -> Problem:
    kind = error["type"]
    node = find(root, loc)
    place = key_position(root, loc) if kind in {"extra_forbidden", "missing"} else (node.line, node.column)
    key = ".".join(str(step) for step in loc)
    if kind == "extra_forbidden":
        return Problem(file, *place, key, _unknown(loc))
    if kind == "missing":
        return Problem(file, *place, key, f"is missing; {_REQUIRED.get(str(loc[-1]), 'write it')}")
    return Problem(file, *place, key, _wrong(node if isinstance(node, Scalar) else None, error))


def _unknown(loc: Loc) -> str:
    """Write a sentence for a key that nobody reads, with what may have been meant."""
    key = str(loc[-1])
    here = _model(loc).model_fields
    names = [info.alias or name for name, info in here.items()]
    if _MEANT.get(key) in names:
        return f"unknown key; did you mean {_MEANT[key]}?"
    hint = did_you_mean(key, names)
    if not hint:
        if key in ManifestKeys.model_fields:
            return "unknown key here; it belongs at the left margin"
        for below, model in _BELOW.items():
            if key in model.model_fields:
                return f"unknown key here; it belongs under {below}:"
    return f"unknown key{hint}; {one_of('there are', names)}"


def _model(loc: Loc) -> type[BaseModel]:
    if len(loc) > 2 and loc[0] == "prompts":
        return CatalogPrompt
    return _BELOW.get(str(loc[0]), ManifestKeys) if len(loc) > 1 else ManifestKeys


_KINDS: MappingOf[str, str] = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "list_type": 'a list, for instance ["1:1@2K"]',
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
    "dict_type": "text, or a mapping of keys to values",
}


def _wrong(node: Scalar | None, error: ErrorDetails) -> str:
    """Write a sentence for a value that is not what its key takes."""
    kind, value = error["type"], error["input"]
    if node is not None and value is None:
        return "has no value; write one, or remove the key"
    if kind == "string_type" and node is not None and node.plain:
        read_as = (
            value.read_as if isinstance(value, Odd) else "true or false" if isinstance(value, bool) else "a number"
        )
        return f'YAML reads {node.text} as {read_as}; write it in quotes: "{node.text}"'
    if kind == "value_error":
        return str(error["msg"]).removeprefix("Value error, ")
    if kind == "literal_error":
        return f"must be {error['ctx']['expected']}"
    if kind == "list_type" and error["loc"][-1] in _LISTS:
        return f"must be a list, for instance {_LISTS[str(error['loc'][-1])]}"
    if kind in _KINDS:
        return f"must be {_KINDS[kind]}"
    return _limits(kind, error.get("ctx", {})) or str(error["msg"])


def _limits(kind: str, limits: MappingOf[str, Any]) -> str:
    if kind in {"string_too_short", "too_short"}:
        return "must not be empty"
    if kind in {"string_too_long", "too_long"}:
        return f"must have at most {limits['max_length']} {'characters' if kind[0] == 's' else 'entries'}"
    if kind == "greater_than_equal":
        return f"must be at least {limits['ge']}"
    return f"must be at most {limits['le']}" if kind == "less_than_equal" else ""
