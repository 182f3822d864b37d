"""What the source of the program says about its own shape: imports, names, comparisons, lengths.

`tests/test_architecture.py` asserts on it, `tests/architecture_figures.py` prints it.
"""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PACKAGE = ROOT / "batchgen"
FILES = sorted(PACKAGE.rglob("*.py"))
ENDPOINTS = frozenset({"images", "generations", "edits", "chat", "responses", "batch"})
"""Every endpoint's name, in contracts and in the books."""

Graph = dict[str, set[str]]


def name_of(path: Path) -> str:
    """Name a file by its path below the package."""
    return str(path.relative_to(PACKAGE))


@cache
def tree_of(path: Path) -> ast.Module:
    """Parse a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


# --- imports ---


def imported(tree: ast.AST) -> set[str]:
    """Every module of this package that a file names in an import, wherever the import stands."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "import_module":
            names |= {arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)}
    return {name for name in names if name.startswith("batchgen.")}


def imports_of_files() -> Graph:
    """Map every module to the modules it imports; a package stands for its `__init__`."""
    modules = {_module(path): path for path in FILES}
    graph: Graph = {}
    for module, path in modules.items():
        # `from a.b import c` names the module a.b.c, or else c in a.b.
        named = {name if name in modules else name.rpartition(".")[0] for name in imported(tree_of(path))}
        graph[module] = (named & set(modules)) - {module}
    return graph


def imports_of_rooms() -> Graph:
    """Map every inner folder to the inner folders of the same room that it imports."""
    graph: Graph = {}
    for path in FILES:
        parts = path.relative_to(PACKAGE).parts
        if len(parts) < 3:
            continue
        room = f"{parts[0]}/{parts[1]}"
        others = {tuple(name.split(".")[1:3]) for name in imported(tree_of(path))}
        inner = {"/".join(each) for each in others if each[0] == parts[0] and (PACKAGE / Path(*each)).is_dir()}
        graph[room] = graph.get(room, set()) | inner - {room}
    return graph


def circles(graph: Graph) -> list[str]:
    """Walk a graph, and write down one way round for every circle that is met: `a -> b -> a`."""
    found, done = [], set()

    def visit(node: str, trail: tuple[str, ...]) -> None:
        if node in trail:
            found.append(" -> ".join((*trail[trail.index(node) :], node)))
        elif node not in done:
            for target in sorted(graph.get(node, ())):
                visit(target, (*trail, node))
            done.add(node)

    for node in sorted(graph):
        visit(node, ())
    return found


def imports_in_functions() -> Counter[str]:
    """Count the import statements inside functions, by file."""
    found: Counter[str] = Counter()
    for path in FILES:
        functions = (
            node for node in ast.walk(tree_of(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        )
        inside = {
            each
            for function in functions
            for each in ast.walk(function)
            if isinstance(each, ast.Import | ast.ImportFrom)
        }
        if inside:
            found[name_of(path)] = len(inside)
    return found


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


# --- names ---


def classes_of_several_meanings() -> dict[str, list[str]]:
    """Every class name that is defined more than once, with the files where."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in FILES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(name_of(path))
    return {name: places for name, places in found.items() if len(places) > 1}


def modules_of_several_meanings() -> dict[str, list[str]]:
    """Every module name that is used more than once, with the files that bear it.

    The commands are named as they are typed, and the packages `endpoints` and `batch` mirror one another in several
    rooms: these names may recur.
    """
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for path in FILES:
        parts = path.relative_to(PACKAGE).parts
        if path.stem != "__init__" and parts[0] != "cli":
            mirrored = path.parent.name if path.parent.name in {"endpoints", "batch"} else name_of(path)
            found[path.stem][mirrored] = name_of(path)
    return {name: list(places.values()) for name, places in found.items() if len(places) > 1}


# --- endpoints ---


def comparisons_of_endpoints() -> list[tuple[str, str]]:
    """Find where the program asks by name which endpoint it has to do with, outside the endpoint objects.

    Returns:
        place and text of every comparison with, look-up in, and match of a name of `ENDPOINTS`, and of every table by
        such names.
    """
    return [
        (f"{name_of(path)}:{line}", text)
        for path in FILES
        if "endpoints" not in {path.stem, *path.relative_to(PACKAGE).parts}
        for line, text in endpoint_comparisons(tree_of(path))
    ]


def endpoint_comparisons(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Find line and text of the comparisons and tables in one file, as `comparisons_of_endpoints` does."""
    assignments = (node for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign))
    named = {_target(each) for each in assignments if each.value is not None and _names_endpoint(each.value, set())}
    for node in ast.walk(tree):
        compares = isinstance(node, ast.Compare) and any(
            _names_endpoint(each, named) for each in (node.left, *node.comparators)
        )
        matches = isinstance(node, ast.MatchValue) and _names_endpoint(node.value, named)
        tabulates = isinstance(node, ast.Dict) and len(node.keys) > 1 and _names_endpoint(node, set())
        if compares or matches or tabulates:
            assert isinstance(node, ast.expr | ast.pattern)
            yield node.lineno, ast.unparse(node)


def _target(node: ast.Assign | ast.AnnAssign) -> str:
    return ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target)


def _names_endpoint(node: ast.expr, named: set[str]) -> bool:
    """Say whether an expression is an endpoint's name, a collection with one or a table by them, or a variable of such."""
    match node:
        case ast.Constant(value=str(text)):
            return text in ENDPOINTS
        case ast.Name(id=name):
            return name in named
        case ast.Tuple() | ast.List() | ast.Set():
            return any(_names_endpoint(each, named) for each in node.elts)
        case ast.Dict():
            return bool(node.keys) and all(key is not None and _names_endpoint(key, named) for key in node.keys)
        case ast.Call(func=ast.Name(id="frozenset" | "set" | "tuple")):
            return any(_names_endpoint(each, named) for each in node.args)
    return False


# --- lengths ---


@dataclass(frozen=True, slots=True, order=True)
class Length:
    """How many lines something has."""

    lines: int
    place: str


def lengths_of_files() -> list[Length]:
    """Measure every file."""
    return [Length(len(path.read_text(encoding="utf-8").splitlines()), name_of(path)) for path in FILES]


def lengths_of(*kinds: type[ast.AST]) -> list[Length]:
    """Measure every definition of these kinds, from its `def` or `class` to its last line."""
    return [
        Length((node.end_lineno or node.lineno) - node.lineno + 1, f"{name_of(path)}:{node.lineno} {node.name}")
        for path in FILES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and isinstance(node, kinds)
    ]


def modules_by_folder() -> dict[str, int]:
    """Count the modules that stand in each folder itself, `__init__` left out."""
    folders = Counter(str(path.parent.relative_to(PACKAGE)) for path in FILES if path.stem != "__init__")
    return dict(sorted(folders.items()))


# --- errands ---


@dataclass(frozen=True, slots=True)
class Errand:
    """A change that `docs/how-to-change.md` describes.

    Attributes:
        always: files that every such change touches, as written there.
        sometimes: files that some such changes touch.
    """

    title: str
    always: tuple[str, ...]
    sometimes: tuple[str, ...]

    @property
    def missing(self) -> list[str]:
        """The files that are not there. One with `<name>` in it is still to be made."""
        named = (*self.always, *self.sometimes)
        return [
            name for name in named if "<" not in name and not any((top / name).is_file() for top in (PACKAGE, ROOT))
        ]


def errands() -> list[Errand]:
    """Read the changes, in the order of the page."""
    text = (ROOT / "docs" / "how-to-change.md").read_text(encoding="utf-8")
    return [_errand(part) for part in re.split(r"(?m)^## ", text)[1:]]


def _errand(part: str) -> Errand:
    title, _, body = part.partition("\n")
    files = re.findall(r"`([\w./<>-]+\.(?:py|yaml|yml|md|json|toml|sql|css|js|html))`( ?\*)?", body)
    always = dict.fromkeys(name for name, star in files if not star)
    sometimes = dict.fromkeys(name for name, star in files if star and name not in always)
    return Errand(title, tuple(always), tuple(sometimes))


def middle(lengths: Iterable[Length], share: float) -> int:
    """Return the number of lines that a share of the lengths does not exceed."""
    ordered = sorted(lengths)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))].lines
