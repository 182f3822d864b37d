"""Fills a row's columns into a text: a small part of Jinja in which nothing can grow, loop or reach without bounds."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from jinja2 import TemplateError, TemplateSyntaxError, UndefinedError, nodes

from batchgen.manifest.hints import one_of, similar
from batchgen.manifest.sandbox import MAX_CHARS, STEPS, Environment, check, environment

SPECIAL = ("size", "sample", "ratio", "tier")

_IN_BRACES = re.compile(r"\{\s*([^{}\s][^{}\n]*?)\s*\}")


class Template(Protocol):
    """A text with variables.

    Attributes:
        uses_row: whether it reaches into `row`.
        names: what it fills in.
        in_braces: what stands between single braces in its plain text, where nothing is filled in.
    """

    uses_row: bool
    names: tuple[str, ...]
    in_braces: tuple[str, ...]

    def render(self, names: Mapping[str, Any]) -> str:
        """The text for one row.

        Raises:
            ValueError: a variable is missing, or the template goes wrong; one clear sentence.
        """
        ...


def compile_template(
    source: str, alone: Mapping[str, str] | None = None, value: Callable[[str], str] | None = None
) -> Template:
    """Reads a template once, for all rows.

    Args:
        source: the template as written.
        alone: names that may only stand alone, like `{{ size }}`, each with the text that takes its place.
        value: what is done to each value before it is filled in.

    Raises:
        ValueError: not a template, or more than is taken; one clear sentence.
    """
    if len(source) > MAX_CHARS:
        raise ValueError(f"longer than {MAX_CHARS:,} characters")
    if source.rfind("{#") > source.rfind("#}"):
        raise ValueError("not a template: {# begins a comment that has no end; write {{ '{#' }} if none was meant")
    sandbox = environment(value)
    tree = _parse(sandbox, source)
    _put_alone(tree, alone or {})
    check(tree)
    plain = _plain(tree, value)
    if plain is not None:
        return plain
    try:
        return _Rendered(sandbox, tree)
    except (TemplateError, SyntaxError, RecursionError) as error:
        raise ValueError(f"not a template: {error}") from None


def _parse(environment: Environment, source: str) -> nodes.Template:
    try:
        return environment.parse(source)
    except TemplateSyntaxError as error:
        raise ValueError(f"not a template: {error.message}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not a template: {error}") from None


class _Plain:
    """A template of text and bare names only: what most are, and several times faster this way."""

    uses_row = False

    def __init__(
        self,
        pattern: str,
        names: tuple[str, ...],
        in_braces: tuple[str, ...],
        value: Callable[[str], str] | None,
    ) -> None:
        self._pattern = pattern
        self.names = names
        self.in_braces = in_braces
        self._value = value

    def render(self, names: Mapping[str, Any]) -> str:
        try:
            values = [names[name] for name in self.names]
        except KeyError as missing:
            raise ValueError(_missing(str(missing.args[0]), names)) from None
        if self._value is not None:
            values = [self._value(value) for value in values]
        text = self._pattern % tuple(values)
        if len(text) > MAX_CHARS:
            raise ValueError(f"comes to more than {MAX_CHARS:,} characters")
        return text


class _Rendered:
    """Any other template."""

    def __init__(self, environment: Environment, tree: nodes.Template) -> None:
        self.names = tuple(dict.fromkeys(name.name for name in tree.find_all(nodes.Name)))
        self.uses_row = "row" in self.names
        self.in_braces = _in_braces(tree)
        for loop in tree.find_all(nodes.For):
            loop.iter = nodes.Filter(loop.iter, "steps", [], [], None, None, lineno=loop.lineno)  # counts them
        self._template = environment.from_string(tree)

    def render(self, names: Mapping[str, Any]) -> str:
        parts, length = [], 0
        context = self._template.new_context({**names, STEPS: [0]})
        try:
            for part in self._template.root_render_func(context):
                parts.append(part)
                length += len(part)
                if length > MAX_CHARS:
                    raise ValueError(f"comes to more than {MAX_CHARS:,} characters")
        except UndefinedError as error:
            raise ValueError(_missing(str(error.message), names)) from None
        except (TemplateError, ArithmeticError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"cannot be filled in: {error}") from None
        return "".join(parts)


def _put_alone(tree: nodes.Template, alone: Mapping[str, str]) -> None:
    """Replaces the names that stand alone by their text; what is left of them stands elsewhere, and is refused."""
    for output in tree.find_all(nodes.Output):
        output.nodes = [
            nodes.TemplateData(alone[node.name], lineno=node.lineno)
            if isinstance(node, nodes.Name) and node.name in alone
            else node
            for node in output.nodes
        ]
    for name in tree.find_all(nodes.Name):
        if name.name in alone:
            raise ValueError(f"{name.name} may only stand alone, as {{{{ {name.name} }}}}")


def _plain(tree: nodes.Template, value: Callable[[str], str] | None) -> _Plain | None:
    pattern, names = "", []
    for node in tree.body:
        if not isinstance(node, nodes.Output):
            return None
        for part in node.nodes:
            if isinstance(part, nodes.TemplateData):
                pattern += part.data.replace("%", "%%")
            elif isinstance(part, nodes.Name) and part.name != "row":
                pattern += "%s"
                names.append(part.name)
            else:
                return None
    return _Plain(pattern, tuple(names), _in_braces(tree), value)


def _in_braces(tree: nodes.Template) -> tuple[str, ...]:
    found = (name for text in tree.find_all(nodes.TemplateData) for name in _IN_BRACES.findall(text.data))
    return tuple(dict.fromkeys(found))


def _missing(name: str, names: Mapping[str, Any]) -> str:
    known = sorted(each for each in names if each and each != "row")
    hint = "; it can stand in output.file only, alone" if name in SPECIAL else similar(name, known)
    return f"there is nothing called {name}{hint}; {one_of('this row has', known)}"
