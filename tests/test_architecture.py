"""The shape of the program: who imports whom, what means one thing only, who knows an endpoint by its name.

Imports of every kind count: top level, inside functions, for typing only. `python -m tests.architecture_figures` prints
what is found.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from batchgen.contracts.endpoints import ENDPOINTS
from batchgen.simulator.endpoints import ENDPOINTS as SIMULATED
from tests.support import architecture
from tests.support.architecture import FILES, PACKAGE, imported, tree_of

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
IN_FOLDERS = [path for path in FILES if path.parent != PACKAGE]

# What is left to be put right; these two only ever shrink.
CLASSES_TO_RENAME: set[str] = set()
MODULES_TO_RENAME: set[str] = set()
# What may stay, and why.
CLASS_NAMES: dict[str, str] = {}
MODULE_NAMES: dict[str, str] = {}
COMPARISONS = {
    "facts['purpose'] != 'batch'": "the purpose of a file, which is named like an endpoint",
    "purpose == 'batch'": "the purpose of a file, which is named like an endpoint",
    "purpose not in _PURPOSES": "the purpose of a file, which is named like an endpoint",
}


def _violations(folder: str, imported: set[str]) -> list[str]:
    bad = []
    for name in sorted(imported):
        other = name.split(".")[1]
        if other not in ORDER or other == folder:
            continue
        if ORDER.index(other) > ORDER.index(folder) or {folder, other} <= ADAPTERS:
            bad.append(name)
    return bad


@pytest.mark.parametrize("path", IN_FOLDERS, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_file_imports_only_from_folders_above_it(path: Path) -> None:
    folder = path.relative_to(PACKAGE).parts[0]
    assert folder in ORDER
    assert _violations(folder, imported(tree_of(path))) == []


@pytest.mark.parametrize(
    "path", [path for path in FILES if "store" in path.relative_to(PACKAGE).parts], ids=lambda path: path.name
)
def test_file_of_the_store_imports_only_from_its_walls_and_those_before(path: Path) -> None:
    """What stands at the door belongs to no wall, and knows none."""
    own = path.relative_to(PACKAGE / "store").parts[0] if path.parent.name != "store" else ""
    known = WALLS[: WALLS.index(own) + 1]
    for name in imported(tree_of(path)):
        _, folder, wall, *_ = *name.split("."), ""
        assert folder != "store" or wall not in WALLS or wall in known, name


def test_only_the_hand_of_the_engine_knows_store_and_gateway() -> None:
    """The brain names files in its sentences and builds requests; whoever touches bytes or a socket is a hand."""
    pure = ("batchgen.store.layout", "batchgen.gateway.request")
    for path in (PACKAGE / "engine").rglob("*.py"):
        if not path.name.startswith("local_"):
            for name in imported(tree_of(path)):
                assert name.split(".")[1] not in {"store", "gateway"} or name.startswith(pure), (path.name, name)


def test_simulator_stands_alone_beside_contracts_and_domain() -> None:
    for path in (PACKAGE / "simulator").rglob("*.py"):
        folders = {name.split(".")[1] for name in imported(tree_of(path))}
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
    assert _violations("policy", imported(ast.parse(source))) != []


def test_pictures_know_nothing_else_of_the_simulator() -> None:
    for path in (PACKAGE / "simulator" / "pictures").glob("*.py"):
        others = {name for name in imported(tree_of(path)) if name.startswith("batchgen.simulator.")}
        assert {name for name in others if not name.startswith("batchgen.simulator.pictures")} == set(), path.name


def test_no_imports_of_files_go_round_in_a_circle() -> None:
    assert architecture.circles(architecture.imports_of_files()) == []


def test_no_imports_of_inner_folders_go_round_in_a_circle() -> None:
    assert architecture.circles(architecture.imports_of_rooms()) == []


def test_circle_is_found_wherever_it_is_entered() -> None:
    graph = {"a": {"b"}, "b": {"c", "d"}, "c": set(), "d": {"b"}}
    assert architecture.circles(graph) == ["b -> d -> b"]
    assert architecture.circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


# --- names: one name, one meaning ---


def test_class_name_means_one_thing() -> None:
    assert set(architecture.classes_of_several_meanings()) <= CLASS_NAMES.keys() | CLASSES_TO_RENAME


def test_module_name_means_one_thing() -> None:
    assert set(architecture.modules_of_several_meanings()) <= MODULE_NAMES.keys() | MODULES_TO_RENAME


# --- SQL: every statement has a name, and one place ---

STATEMENTS = PACKAGE / "ledger" / "statements"
WRITES_SQL = {"select", "insert", "update", "delete", "text"}
FILE_ITSELF = {"connect.py", "migrate.py", "tables.py", "views.py"}  # pragmas, constraints, indexes and views


def _sql_of(path: Path) -> list[str]:
    """Where a file makes a statement: what it takes from SQLAlchemy for that, and what it hands to the driver as text."""
    made = [
        alias.name
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("sqlalchemy")
        for alias in node.names
        if alias.name in WRITES_SQL
    ]
    return made + [
        ast.unparse(node)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "exec_driver_sql"
        if isinstance(node.args[0], ast.Constant | ast.JoinedStr)
    ]


def test_sql_is_written_in_the_statements_of_the_ledger_only() -> None:
    others = [path for path in FILES if STATEMENTS not in path.parents and path.name not in FILE_ITSELF]
    assert {path.name: _sql_of(path) for path in others if _sql_of(path)} == {}
    assert _sql_of(STATEMENTS / "hot.py") == ["insert", "select", "text", "update"]
    assert _sql_of(PACKAGE / "ledger" / "connect.py")


def test_each_statement_has_a_name_of_its_own() -> None:
    names = [
        target.id
        for path in STATEMENTS.glob("*.py")
        for node in tree_of(path).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and not target.id.startswith("_")
    ]
    assert len(names) > 50
    assert sorted(names) == sorted(set(names))


# --- endpoints: only their own objects know them by name ---


def test_endpoints_are_told_apart_in_their_own_objects_only() -> None:
    found = {text for _, text in architecture.comparisons_of_endpoints()}
    assert found <= COMPARISONS.keys()


def test_every_name_of_an_endpoint_is_looked_for() -> None:
    assert {*ENDPOINTS, *(endpoint.name for endpoint in SIMULATED.values())} == architecture.ENDPOINTS


@pytest.mark.parametrize(
    "source",
    [
        "if contract.endpoint == 'chat': pass",
        "x = 'batch' not in contract.endpoints",
        "x = name in {'chat', 'responses'}",
        "NAMES = frozenset({'chat'})\ndef f(x):\n    return x in NAMES",
        "NAMES: tuple[str, ...] = ('chat', 'x')\nx = y in NAMES",
        "match endpoint:\n    case 'edits': pass",
        "match endpoint:\n    case 'edits' | 'x': pass",
        "READERS = {'images': read_images, 'chat': read_chat}",
    ],
)
def test_comparison_of_an_endpoint_is_found_however_it_is_written(source: str) -> None:
    assert len(list(architecture.endpoint_comparisons(ast.parse(source)))) == 1


def test_other_words_are_no_comparison_of_an_endpoint() -> None:
    source = "x = {'images': 3, 'attempts': 4}\nf('chat')\ny = z == 'chats'\nw = holder['images']"
    assert list(architecture.endpoint_comparisons(ast.parse(source))) == []


# --- the command line and who prints ---


def test_only_one_place_of_the_commands_prints() -> None:
    """There foreign words are made plain; whatever printed by itself would go around it."""
    door, others = {"output.py", "main.py"}, set()
    for path in (PACKAGE / "cli").rglob("*.py"):
        for node in ast.walk(tree_of(path)):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if name in {"print", "click.echo", "click.secho", "sys.stdout.write", "sys.stderr.write"}:
                others.add((path.name, name))
    assert {each for each in others if each[0] not in door} == set()


def _talks(path: Path) -> set[str]:
    """What a file uses to talk to whoever sits at the terminal."""
    tree = tree_of(path)
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    used = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Name | ast.Attribute)}
    return {name for name in imported if name.partition(".")[0] in {"click", "rich"}} | (
        used & {"print", "input", "sys.stdout", "sys.stderr", "sys.stdin", "sys.argv"}
    )


def test_what_programs_call_neither_knows_a_command_line_nor_prints_nor_asks() -> None:
    found = {path.name: _talks(path) for path in (PACKAGE / "app").rglob("*.py")}
    assert {name: talk for name, talk in found.items() if talk} == {}
    assert _talks(PACKAGE / "cli" / "output.py") >= {"click", "sys.stdout"}
