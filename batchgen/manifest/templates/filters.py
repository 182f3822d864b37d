"""The filters of templates, each within bounds: of what it takes, of what it makes, and of what a rendering does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import isfinite
from typing import Any

from jinja2 import StrictUndefined
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS
from jinja2.runtime import Context
from jinja2.utils import _PassArg, pass_context

MAX_CHARS = 32_768  # of a template, of a cell it works on, of what it renders to, and of every text on the way
MAX_STEPS = 1_000  # rounds of all loops in one rendering
MAX_WORK = 300_000  # of one rendering: a character that a filter takes is one, a part of a template in a loop 20
MAX_BITS = 4_096  # of a number: 1,233 digits
WORK = "batchgen.work"  # no column can be called so
_PART = 20
_OF_TEXT = ("capitalize", "float", "int", "lower", "string", "title", "trim", "truncate", "upper")
_OF_ANY = ("abs", "d", "default", "first", "last", "length", "list", "sort")
_OWN = ("join", "replace", "round", "split")
NAMES = (*_OF_TEXT, *_OF_ANY, *_OWN)


class ForbiddenInTemplate(ValueError):
    """What a template may not do, said in a sentence."""


class RenderMeter:
    """What one rendering has done so far."""

    __slots__ = ("rounds", "units")

    def __init__(self) -> None:
        self.rounds = 0
        self.units = 0

    def spend(self, *values: object, more: int = 1) -> None:
        """Count what is worked on.

        Raises:
            SecurityError: that is too much for one row.
        """
        self.units += more + sum(map(_length, values))
        if self.units > MAX_WORK:
            raise SecurityError("is too much work for one row; make the template shorter")

    def go_round(self, parts: int) -> None:
        """Count one round of a loop whose body has so many parts.

        Raises:
            SecurityError: it is one too many.
        """
        self.rounds += 1
        if self.rounds > MAX_STEPS:
            raise SecurityError(f"loops go round at most {MAX_STEPS:,} times")
        self.spend(more=parts * _PART)


def bounded(value: Any) -> Any:
    """Return the same value.

    Raises:
        SecurityError: it is too long, or infinite.
    """
    if isinstance(value, float) and not isfinite(value):
        raise SecurityError(f"makes {value}, which is no number")
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise SecurityError("makes a number of more than 1,000 digits")
    check_length(_length(value))
    return value


def check_length(length: int) -> None:
    """See that a text is not too long.

    Raises:
        SecurityError: it is.
    """
    if length > MAX_CHARS:
        raise SecurityError(f"makes a text of more than {MAX_CHARS:,} characters")


def filters() -> dict[str, Callable[..., Any]]:
    """Make all filters by name, and `steps`, which counts the rounds of a loop."""
    of_text = {name: _within(FILTERS[name], _text) for name in _OF_TEXT}
    of_any = {name: _within(FILTERS[name], lambda value: value) for name in _OF_ANY}
    own = {"replace": _within(_replace, _text), "round": _within(_round, _text), "split": _within(_split, _text)}
    return {**of_text, **of_any, **own, "join": _within(_join, lambda value: value), "steps": _steps}


def _within(filter_: Callable[..., Any], taken: Callable[[Any], Any]) -> Callable[..., Any]:
    """Make a filter that is counted, and whose result is bounded. With the context it is not tried when compiled."""
    wanted = _PassArg.from_obj(filter_)

    @pass_context
    def run(context: Context, value: Any, *rest: Any, **named: Any) -> Any:
        context[WORK].spend(value, *rest, *named.values())
        first: list[Any] = [taken(value)]
        if wanted is _PassArg.environment:
            first.insert(0, context.environment)
        elif wanted is _PassArg.eval_context:
            first.insert(0, context.eval_ctx)
        return bounded(filter_(*first, *rest, **named))

    return run


def _length(value: object) -> int:
    return len(value) if isinstance(value, str | list | tuple | range) else 0


def _text(value: Any) -> Any:
    """Take a value that is one text or number; a list as a text would be as long as all that is in it."""
    if isinstance(value, str | int | float | StrictUndefined):
        return value
    raise TypeError(f"a {type(value).__name__} is not a text; take one part of it, or join it")


@pass_context
def _steps(context: Context, items: Iterable[Any], parts: int) -> Iterator[Any]:
    work: RenderMeter = context[WORK]
    for item in items:
        work.go_round(parts)
        yield item


def _join(items: Any, joiner: str = "") -> str:
    texts = [str(_text(item)) for item in items]
    check_length(sum(map(len, texts)) + len(joiner) * len(texts))
    return joiner.join(texts)


def _replace(text: Any, old: str, new: str) -> str:
    whole = str(text)
    if len(new) > len(old):
        check_length(len(whole) + whole.count(old) * len(new))
    return whole.replace(old, new)


def _round(number: Any, digits: int = 0) -> float:
    return round(float(number), max(-15, min(15, digits)))


def _split(text: Any, separator: str | None = None) -> list[str]:
    return [part.strip() for part in str(text).split(separator)]
