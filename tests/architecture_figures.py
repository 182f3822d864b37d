"""The shape of the program in figures: `python -m tests.architecture_figures`.

The first part is asserted by `tests/test_architecture.py`. The second is to look at, and not to cut by: a figure that
gets worse is a question, and the answer may be that it is right so.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from tests.support import architecture
from tests.support.architecture import Length
from tests.test_architecture import CLASS_NAMES, COMPARISONS, MODULE_NAMES

_LONGEST = 10


def main() -> None:
    """Print all figures."""
    for part in (_held, _lengths, _places, _errands):
        print(*part(), sep="\n")
        print()


def _held() -> Iterator[str]:
    yield "# Held by tests/test_architecture.py"
    yield from _names("class names that mean two things", architecture.classes_of_several_meanings(), CLASS_NAMES)
    yield from _names("module names that mean two things", architecture.modules_of_several_meanings(), MODULE_NAMES)
    yield from _listed("import circles of files", architecture.circles(architecture.imports_of_files()))
    yield from _listed("import circles of folders in a folder", architecture.circles(architecture.imports_of_rooms()))
    found = architecture.comparisons_of_endpoints()
    others = [f"{place} {text}" for place, text in found if text not in COMPARISONS]
    title = "comparisons of endpoint names outside the endpoint objects"
    yield from _listed(title, others, len(found) - len(others))


def _names(title: str, found: dict[str, list[str]], excepted: dict[str, str]) -> Iterator[str]:
    others = [f"{name}: {', '.join(places)}" for name, places in found.items() if name not in excepted]
    yield from _listed(title, others, len(found) - len(others))


def _listed(title: str, found: list[str], excepted: int = 0) -> Iterator[str]:
    yield f"{len(found):5}  {title}" + (f" (and {excepted} listed exceptions)" if excepted else "")
    yield from (f"         {each}" for each in found)


def _lengths() -> Iterator[str]:
    yield "# Lines"
    measured: dict[str, Callable[[], list[Length]]] = {
        "functions": lambda: architecture.lengths_of(ast.FunctionDef, ast.AsyncFunctionDef),
        "classes": lambda: architecture.lengths_of(ast.ClassDef),
        "files": architecture.lengths_of_files,
    }
    for kind, measure in measured.items():
        found = sorted(measure(), reverse=True)
        typical = architecture.middle(found, 0.5), architecture.middle(found, 0.9)
        yield f"{len(found):5}  {kind}: median {typical[0]}, p90 {typical[1]}, max {found[0].lines}; the longest:"
        yield from (f"         {each.lines:4}  {each.place}" for each in found[:_LONGEST])


def _places() -> Iterator[str]:
    yield "# Imports inside functions"
    inside = architecture.imports_in_functions()
    yield f"{inside.total():5}  in {len(inside)} files"
    yield from (f"         {count:4}  {name}" for name, count in inside.most_common(_LONGEST))
    yield ""
    yield "# Modules a folder"
    yield from (f"{count:5}  {folder}" for folder, count in architecture.modules_by_folder().items())


def _errands() -> Iterator[str]:
    yield "# Files of each errand of docs/how-to-change.md: always, and sometimes"
    for errand in architecture.errands():
        yield f"{len(errand.always):5}  {len(errand.sometimes):2}  {errand.title}"


if __name__ == "__main__":
    main()
