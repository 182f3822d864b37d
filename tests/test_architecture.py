"""The order of the folders, proved over every kind of import: top level, inside functions, for typing only."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "batchgen"
ORDER = [
    "domain",
    "files",
    "contracts",
    "manifest",
    "policy",
    "gateway",
    "ledger",
    "store",
    "engine",
    "report",
    "simulator",
    "app",
    "dashboard",
    "cli",
]
WALLS = ["", "checks", "output", "spool", "inputs"]  # within the store
ADAPTERS = {"gateway", "ledger", "store"}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE)


def _imported(tree: ast.AST) -> set[str]:
    """Every module of this package that a file names in an import, wherever the import stands."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "import_module":
            names |= {arg.value for arg in node.args if isinstance(arg, ast.Constant)}
    return {name for name in names if name.startswith("batchgen.")}


def _violations(folder: str, imported: set[str]) -> list[str]:
    bad = []
    for name in sorted(imported):
        other = name.split(".")[1]
        if other not in ORDER or other == folder:
            continue
        if ORDER.index(other) > ORDER.index(folder) or {folder, other} <= ADAPTERS:
            bad.append(name)
    return bad


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_file_imports_only_from_folders_above_it(path: Path) -> None:
    folder = path.relative_to(PACKAGE).parts[0]
    assert folder in ORDER
    assert _violations(folder, _imported(ast.parse(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    "path", [path for path in FILES if "store" in path.relative_to(PACKAGE).parts], ids=lambda path: path.name
)
def test_file_of_the_store_imports_only_from_its_walls_and_those_before(path: Path) -> None:
    """What stands at the door belongs to no wall, and knows none."""
    own = path.relative_to(PACKAGE / "store").parts[0] if path.parent.name != "store" else ""
    known = WALLS[: WALLS.index(own) + 1]
    for name in _imported(ast.parse(path.read_text(encoding="utf-8"))):
        _, folder, wall, *_ = *name.split("."), ""
        assert folder != "store" or wall not in WALLS or wall in known, name


def test_simulator_stands_alone_beside_contracts_and_domain() -> None:
    for path in (PACKAGE / "simulator").rglob("*.py"):
        folders = {name.split(".")[1] for name in _imported(ast.parse(path.read_text(encoding="utf-8")))}
        assert folders <= {"domain", "contracts", "simulator"}, path.name


@pytest.mark.parametrize(
    "source",
    [
        "from batchgen.cli.main import main",
        "import batchgen.cli.main",
        "def f():\n    from batchgen.cli import main",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from batchgen.engine.lane import Lane",
        "from importlib import import_module\nimport_module('batchgen.engine.lane')",
    ],
)
def test_forbidden_import_is_found_wherever_it_hides(source: str) -> None:
    assert _violations("policy", _imported(ast.parse(source))) != []


def test_no_folder_has_a_cycle_of_files() -> None:
    """Within a folder, files import one another in one direction only."""
    edges: dict[str, set[str]] = {}
    for path in FILES:
        module = "batchgen." + ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        edges[module] = {
            target
            for name in _imported(ast.parse(path.read_text(encoding="utf-8")))
            for target in (name, name.rpartition(".")[0])
            if target != module and (PACKAGE.parent / (target.replace(".", "/") + ".py")).is_file()
        }
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join((*trail, module))
        if module in done:
            return
        for target in edges.get(module, ()):
            visit(target, (*trail, module))
        done.add(module)

    for module in edges:
        visit(module, ())


def test_only_one_place_of_the_commands_prints() -> None:
    """There foreign words are made plain; whatever printed by itself would go around it."""
    door, others = {"common.py", "main.py"}, set()
    for path in (PACKAGE / "cli").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if name in {"print", "click.echo", "click.secho", "sys.stdout.write", "sys.stderr.write"}:
                others.add((path.name, name))
    assert {each for each in others if each[0] not in door} == {("routes.py", "print"), ("display.py", "print")}


def _talks(path: Path) -> set[str]:
    """What a file uses to talk to whoever sits at the terminal."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    used = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Name | ast.Attribute)}
    return {name for name in imported if name.partition(".")[0] in {"click", "rich"}} | (
        used & {"print", "input", "sys.stdout", "sys.stderr", "sys.stdin", "sys.argv"}
    )


def test_what_programs_call_neither_knows_a_command_line_nor_prints_nor_asks() -> None:
    found = {path.name: _talks(path) for path in (PACKAGE / "app").rglob("*.py")}
    assert {name: talk for name, talk in found.items() if talk} == {}
    assert _talks(PACKAGE / "cli" / "common.py") >= {"click", "sys.stdout"}
