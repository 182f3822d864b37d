"""Fills a row's columns into a text: a small part of Jinja in which nothing can grow, loop or reach without bounds."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, Protocol

from jinja2 import TemplateError, TemplateSyntaxError, UndefinedError, nodes
from jinja2.visitor import NodeTransformer

from batchgen.domain.text import escaped, one_line
from batchgen.manifest.suggestions import did_you_mean, one_of
from batchgen.manifest.templates.filters import MAX_CHARS, WORK, ForbiddenInTemplate, RenderMeter
from batchgen.manifest.templates.sandbox import Environment, check, check_cell, environment, printed

SPECIAL = ("size", "sample", "ratio", "tier")

_IN_BRACES = re.compile(r"\{([^{}]*)\}")
_NAMED = 200  # names of a row that are looked through for a similar one


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
        """Make the text for one row.

        Raises:
            ValueError: a variable is missing, or the template goes wrong; one clear sentence.
        """
        ...


class FixedText:
    """A text that is what it is, whatever a row holds: that of a prompt written in the manifest."""

    uses_row = False
    names: tuple[str, ...] = ()
    in_braces: tuple[str, ...] = ()

    def __init__(self, text: str) -> None:
        self._text = text

    def render(self, names: Mapping[str, Any]) -> str:  # noqa: ARG002 - a template that needs none
        """Give the text."""
        return self._text


def compile_template(
    source: str, alone: Mapping[str, str] | None = None, value: Callable[[str], str] | None = None
) -> Template:
    """Read a template once, for all rows.

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
    try:
        return _compiled(source, alone or {}, value)
    except TemplateSyntaxError as error:
        raise ValueError(f"not a template: {error.message}") from None
    except TemplateError as error:
        raise ValueError(f"not a template: {error}") from None
    except ForbiddenInTemplate:
        raise
    except Exception as error:  # noqa: BLE001 - whatever Jinja and Python make of it, it is the template that is wrong
        raise ValueError(f"not a template: {_words(error)}") from None


def _compiled(source: str, alone: Mapping[str, str], value: Callable[[str], str] | None) -> Template:
    sandbox = environment(value)
    tree = sandbox.parse(source)
    _put_alone(tree, alone)
    check(tree)
    plain = _plain(tree, value)
    return _Rendered(sandbox, tree) if plain is None else plain


def _words(error: Exception) -> str:
    """Say what is wrong, for an error that was not made to be read."""
    if isinstance(error, RecursionError | MemoryError):
        return "it is nested too deeply, or too large"
    if "integer string conversion" in str(error):
        return "a number has too many digits"
    return one_line(str(error), 200) or type(error).__name__


class _Plain:
    """A template of text, bare names and columns of `row` only: what most are, and several times faster this way."""

    def __init__(
        self,
        pattern: str,
        parts: tuple[tuple[str, str | None], ...],
        in_braces: tuple[str, ...],
        value: Callable[[str], str] | None,
    ) -> None:
        self._pattern = pattern
        self._parts = parts
        self.names = tuple(dict.fromkeys(name for name, _ in parts))
        self.uses_row = "row" in self.names
        self.in_braces = in_braces
        self._value = value

    def render(self, names: Mapping[str, Any]) -> str:
        try:
            values = [names[name] if column is None else _cell(names[name], column) for name, column in self._parts]
        except KeyError as missing:
            raise ValueError(_missing(str(missing.args[0]), names)) from None
        except TypeError as error:
            raise ValueError(f"cannot be filled in: {_words(error)}") from None
        if self._value is not None:
            values = [self._value(value) for value in values]
        text = self._pattern % tuple(values)
        if len(text) > MAX_CHARS:
            raise ValueError(f"comes to more than {MAX_CHARS:,} characters")
        return text


class _Joining(NodeTransformer):
    """Makes `a ~ b` a join, which has bounds."""

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 - as Jinja calls it
        self.generic_visit(node)
        parts = nodes.List(node.nodes, lineno=node.lineno)
        return nodes.Filter(parts, "join", [], [], None, None, lineno=node.lineno)


class _Rendered:
    """Any other template."""

    def __init__(self, environment: Environment, tree: nodes.Template) -> None:
        self.names = tuple(dict.fromkeys(name.name for name in tree.find_all(nodes.Name)))
        self.uses_row = "row" in self.names
        self.in_braces = _in_braces(tree)
        for loop in list(tree.find_all(nodes.For)):
            parts = nodes.Const(sum(1 for part in loop.body for _ in part.find_all(nodes.Node)))
            loop.iter = nodes.Filter(loop.iter, "steps", [parts], [], None, None, lineno=loop.lineno)  # counts rounds
        self._template = environment.from_string(_Joining().visit(tree))

    def render(self, names: Mapping[str, Any]) -> str:
        for name in self.names:
            check_cell(name, names.get(name))
        try:
            return self._render(names)
        except UndefinedError as error:
            raise ValueError(_missing(str(error.message), names)) from None
        except ForbiddenInTemplate:
            raise
        except Exception as error:  # noqa: BLE001 - whatever goes wrong in it, it is the template or the row
            raise ValueError(f"cannot be filled in: {_words(error)}") from None

    def _render(self, names: Mapping[str, Any]) -> str:
        parts, length = [], 0
        context = self._template.new_context({**names, WORK: RenderMeter()})
        for part in self._template.root_render_func(context):
            parts.append(part)
            length += len(part)
            if length > MAX_CHARS:
                raise ForbiddenInTemplate(f"comes to more than {MAX_CHARS:,} characters")
        return "".join(parts)


def _put_alone(tree: nodes.Template, alone: Mapping[str, str]) -> None:
    """Replace the names that stand alone by their text; what is left of them stands elsewhere, and is refused."""
    for output in tree.find_all(nodes.Output):
        output.nodes = [
            nodes.TemplateData(alone[node.name], lineno=node.lineno)
            if isinstance(node, nodes.Name) and node.name in alone
            else node
            for node in output.nodes
        ]
    for name in tree.find_all(nodes.Name):
        if name.name in alone:
            raise ForbiddenInTemplate(f"{name.name} may only stand alone, as {{{{ {name.name} }}}}")


def _plain(tree: nodes.Template, value: Callable[[str], str] | None) -> _Plain | None:
    pattern, names = "", list[tuple[str, str | None]]()
    for node in tree.body:
        if not isinstance(node, nodes.Output):
            return None
        for part in node.nodes:
            if isinstance(part, nodes.TemplateData):
                pattern += part.data.replace("%", "%%")
            elif isinstance(part, nodes.Name) and part.name != "row":
                pattern += "%s"
                names.append((part.name, None))
            elif (column := _column(part)) is not None:
                pattern += "%s"
                names.append(("row", column))
            else:
                return None
    return _Plain(pattern, tuple(names), _in_braces(tree), value)


def _column(node: nodes.Node) -> str | None:
    """Return the column that `row.name` or `row["name"]` is; None for anything else."""
    if not isinstance(node, nodes.Getattr | nodes.Getitem) or not isinstance(node.node, nodes.Name):
        return None
    if node.node.name != "row":
        return None
    if isinstance(node, nodes.Getattr):
        return node.attr
    return node.arg.value if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str) else None


def _cell(row: Mapping[str, Any], column: str) -> str:
    check_cell(column, found := row[column])
    return printed(found)


def _in_braces(tree: nodes.Template) -> tuple[str, ...]:
    found = (name.strip() for text in tree.find_all(nodes.TemplateData) for name in _IN_BRACES.findall(text.data))
    return tuple(dict.fromkeys(name for name in found if name and "\n" not in name))


def _missing(name: str, names: Mapping[str, Any]) -> str:
    known = sorted(escaped(each) for each in islice(names, _NAMED) if each and each != "row")
    hint = "; it can stand in output.file only, alone" if name in SPECIAL else did_you_mean(name, known)
    more = f", and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return f"there is nothing called {one_line(name, 80)}{hint}; {one_of('this row has', known)}{more}"
