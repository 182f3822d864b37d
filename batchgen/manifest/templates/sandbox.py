"""The part of Jinja a manifest may use: nothing in it can grow, loop or reach without bounds."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from jinja2 import StrictUndefined, nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from batchgen.domain.text import one_line
from batchgen.manifest.suggestions import did_you_mean
from batchgen.manifest.templates.filters import (
    MAX_CHARS,
    MAX_STEPS,
    NAMES,
    WORK,
    ForbiddenInTemplate,
    bounded,
    check_length,
    filters,
)

_METHODS = (
    *("capitalize", "endswith", "lower", "lstrip", "removeprefix", "removesuffix", "rstrip", "split", "startswith"),
    *("strip", "title", "upper"),
)
_TAKEN = (
    *(nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.If, nodes.For, nodes.Filter, nodes.Test),
    *(nodes.CondExpr, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Add, nodes.Sub, nodes.Mul),
    *(nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Neg, nodes.Pos, nodes.Concat, nodes.Getattr, nodes.Getitem),
    *(nodes.Slice, nodes.List, nodes.Tuple, nodes.Call, nodes.Keyword),
)
_LOOP = frozenset({"index", "index0", "revindex", "revindex0", "first", "last", "length", "previtem", "nextitem"})
_RESERVED = frozenset({"range", "self", "super", "caller", "varargs", "kwargs"})


class _Missing(StrictUndefined):
    """Says no more than the name, so that the sentence is written in one place."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        return str(self._undefined_name or self._undefined_hint or "")


class Environment(ImmutableSandboxedEnvironment):
    """No loader, no globals but `range`, no operator that makes much out of little, no way to what is no value.

    A method or an iterator printed by mistake would carry its address, and the prompt would be another one each time.
    """

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        sequences = [operand for operand in (left, right) if not isinstance(operand, int | float)]
        context[WORK].spend(*sequences)
        if sequences and operator == "%":
            raise SecurityError("% on text is not taken")
        if sequences and operator == "*":
            times = next((operand for operand in (left, right) if isinstance(operand, int)), 0)
            if not isinstance(sequences[0], str):
                raise SecurityError("* is for numbers and texts")
            check_length(len(sequences[0]) * times)
        return bounded(super().call_binop(context, operator, left, right))

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805, PYI063 - as it is there
        __context[WORK].spend(getattr(__obj, "__self__", None), *args, *kwargs.values())
        return bounded(super().call(__context, __obj, *args, **kwargs))

    def getitem(self, obj: Any, argument: Any) -> Any:
        try:
            found = obj[argument]
        except (LookupError, TypeError):
            return self.undefined(obj=obj, name=argument)
        if isinstance(obj, dict):
            check_cell(str(argument), found)
        return found

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self.getitem(obj, attribute) if isinstance(obj, dict) else super().getattr(obj, attribute)


@cache
def environment(value: Callable[[str], str] | None) -> Environment:
    """Make the environment that applies `value` to whatever is filled in."""
    made = Environment(
        undefined=_Missing,
        autoescape=False,
        finalize=printed if value is None else lambda found: value(printed(found)),
    )
    made.filters = filters()
    made.globals = {"range": _range}
    return made


def printed(found: Any) -> str:
    """Write a value as it is filled in.

    Raises:
        TypeError: it is none that can be.
    """
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, str | int | float | StrictUndefined):
        return str(found)
    raise TypeError(f"{type(found).__name__} is not a text; take one part of it, or join it")


def check_cell(name: str, value: Any) -> None:
    """See that a cell is not too long to be worked on.

    Raises:
        ForbiddenInTemplate: it is.
    """
    if isinstance(value, str) and len(value) > MAX_CHARS:
        raise ForbiddenInTemplate(
            f"{one_line(name, 80)} has {len(value):,} characters; {MAX_CHARS:,} are the most that a template works on"
        )


def check(tree: nodes.Template) -> None:
    """Refuse what is not on the list of things known to be harmless.

    Raises:
        ForbiddenInTemplate: names the first such thing.
    """
    strange = next((node for node in tree.find_all(nodes.Node) if not isinstance(node, _TAKEN)), None)
    if strange is not None:
        kind = type(strange).__name__.lower()
        raise ForbiddenInTemplate(f"{kind} is more than a template may do here; it has names, filters, if and for")
    called = {id(call.node) for call in tree.find_all(nodes.Call)}
    for node in tree.find_all(nodes.Node):
        if isinstance(node, nodes.Name) and id(node) not in called:
            _check_name(node)
        elif isinstance(node, nodes.Filter):
            _check_filter(node)
        elif isinstance(node, nodes.Call):
            _check_call(node)
        elif isinstance(node, nodes.Const):
            bounded(node.value)
        elif isinstance(node, nodes.Getattr) and id(node) not in called:
            _check_attribute(node)


def _check_name(node: nodes.Name) -> None:
    if node.name in _RESERVED or node.name.startswith("__"):
        raise ForbiddenInTemplate(f'{node.name} cannot be used as a name; write row["{node.name}"] for a column')


def _check_filter(node: nodes.Filter) -> None:
    if node.name not in NAMES:
        raise ForbiddenInTemplate(
            f"there is no filter {node.name}{did_you_mean(node.name, NAMES)}; there are {', '.join(NAMES)}"
        )


def _check_call(call: nodes.Call) -> None:
    function = call.node
    known = (isinstance(function, nodes.Name) and function.name == "range") or (
        isinstance(function, nodes.Getattr) and function.attr in _METHODS
    )
    if not known or call.dyn_args is not None or call.dyn_kwargs is not None:
        raise ForbiddenInTemplate(f"only range() and {', '.join(_METHODS)} may be called")


def _check_attribute(node: nodes.Getattr) -> None:
    of = node.node.name if isinstance(node.node, nodes.Name) else ""
    if of != "row" and not (of == "loop" and node.attr in _LOOP):
        raise ForbiddenInTemplate(
            f'.{node.attr} is not taken; columns are names, or row["…"] where a name has other characters'
        )


def _range(*bounds: int) -> range:
    found = range(*bounds)
    if len(found) > MAX_STEPS:
        raise SecurityError(f"range() gives at most {MAX_STEPS:,} steps")
    return found
