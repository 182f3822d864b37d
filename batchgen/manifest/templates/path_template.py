"""Where an image lands: a path rendered once per prompt, with places for what its variants fill in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batchgen.domain.job import Variant, output_path
from batchgen.domain.names import safe_segment
from batchgen.manifest.templates.template import SPECIAL, compile_template

MAX_PATH = 1_000  # characters below the output folder

# Noncharacters of Unicode, which no name keeps: a slash inside a value, and the places of size, sample, ratio and tier.
_SLASH = "\ufdd0"
_MARKS = dict(zip(SPECIAL, "\ufdd1\ufdd2\ufdd3\ufdd4", strict=True))
_KEEP = "".join(_MARKS.values())
_OPEN = {ord("{"): "{{", ord("}"): "}}"} | {ord(mark): f"{{{name}}}" for name, mark in _MARKS.items()}
_FOREIGN = dict.fromkeys(map(ord, _SLASH + _KEEP), "\ufffd")  # for a value that holds one of them


class PathTemplate:
    """`output.file`: a slash written in it separates folders, a slash inside a value does not.

    Raises:
        ValueError: not a template, or size, sample, ratio or tier do not stand alone; one clear sentence.
    """

    def __init__(self, source: str) -> None:
        self._template = compile_template(source, alone=_MARKS, value=_inside)
        self.uses_row = self._template.uses_row

    def render(self, names: Mapping[str, Any]) -> str:
        """Make the path of one prompt, for `batchgen.domain.job.output_path` to complete.

        Raises:
            ValueError: a variable is missing, or the result is no path below the output folder; one clear sentence.
        """
        path = self._template.render(names)
        segments = [segment.strip() for segment in path.split("/")]
        if len(path) > MAX_PATH:
            raise ValueError(f"comes to more than {MAX_PATH:,} characters")
        for segment in segments:
            if segment in {"", ".", ".."}:
                raise ValueError(f"{_shown(path)!r} is not a path below the output folder: a part of it is {segment!r}")
        safe = [safe_segment(segment.replace(_SLASH, "/"), keep=_KEEP) for segment in segments]
        return "/".join(safe).translate(_OPEN)


def variant_fills(variants: tuple[Variant, ...], variant_set: tuple[int, ...]) -> list[dict[str, str]]:
    """Work out what each variant of a set fills into a path, once for all prompts."""
    parts = ("size", "sample", "ratio", "tier")
    pattern = "\n".join(f"{{{part}}}" for part in parts)
    filled = (output_path(pattern, variants[number].size, variants[number].sample) for number in variant_set)
    return [dict(zip(parts, text.split("\n"), strict=True)) for text in filled]


def _inside(value: str) -> str:
    return (value if value.isascii() else value.translate(_FOREIGN)).replace("/", _SLASH)


def _shown(path: str) -> str:
    return path.translate(_OPEN | {ord(_SLASH): "/"})[:100]
