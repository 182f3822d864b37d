"""The documentation says what the program does: commands, keys, codes, tables, links and examples are compared."""

from __future__ import annotations

import ast
import re
from functools import cache
from importlib import import_module
from itertools import product
from pathlib import Path
from types import FunctionType
from typing import Any

import click
import pytest
import yaml

from batchgen.app.finding import MachineFinding
from batchgen.cli.main import cli
from batchgen.contracts.catalog import load_catalog
from batchgen.domain.errors import Exit
from batchgen.domain.inputs import InputFile
from batchgen.domain.lifecycle import CHARGE_MOVES, TRANSITIONS, Charge, TaskEvent, TaskState
from batchgen.domain.model import OutcomeKind
from batchgen.ledger.records import AttemptRow
from batchgen.manifest.document.schema import schema
from batchgen.manifest.load import load_manifest
from batchgen.manifest.plan import expand
from batchgen.report.exports import COLUMNS
from batchgen.simulator.faults import Fault, Options
from tests.docs_tables import CONTRACTS, TABLES, section
from tests.support.architecture import Errand, errands
from tests.test_architecture import ORDER

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "batchgen"
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
LINES = 120

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
_COLUMN = re.compile(r"{{\s*(\w+)|{%\s*(?:if|for \w+ in)\s+(\w+)")
_SPECIAL = {"id", "size", "sample", "ratio", "tier", "row"}


def page_id(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def under(text: str, heading: str) -> str:
    """What stands below a heading, up to the next of its level or above."""
    level = heading.split(" ", maxsplit=1)[0]
    found = re.search(
        rf"^{re.escape(heading)}$(.*?)(?=^#{{1,{len(level)}}} |\Z)", _without_code(text), re.DOTALL | re.MULTILINE
    )
    assert found is not None, f"there is no heading {heading!r}"
    return found[1]


def blocks(path: Path, kind: str) -> list[str]:
    return [body for found, body in _FENCE.findall(path.read_text(encoding="utf-8")) if found == kind]


def _without_code(text: str) -> str:
    """The text with its code blocks blanked, in which # begins no heading."""
    return _FENCE.sub("", text)


def _commands() -> dict[str, click.Command]:
    context = click.Context(cli)
    found = {name: cli.get_command(context, name) for name in cli.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}


COMMANDS = _commands()


def _options(command: click.Command) -> set[str]:
    options = [each for each in command.params if isinstance(each, click.Option) and not each.hidden]
    return {name for option in options for name in option.opts}


# --- commands -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_command_is_described_with_exactly_its_options(name: str) -> None:
    said = under(text_of("docs/cli.md"), f"### `{name}`")
    named = set(re.findall(r"`(--[a-z-]+)", said))
    assert named == _options(COMMANDS[name])


def test_no_command_is_described_that_is_not_there() -> None:
    headings = re.findall(r"^### `(\w+)`$", under(text_of("docs/cli.md"), "## Commands"), re.MULTILINE)
    assert headings == list(COMMANDS)
    table = under(text_of("README.md"), "## Commands")
    assert all(f"`{name}" in table for name in COMMANDS)


@pytest.mark.parametrize("path", PAGES, ids=page_id)
def test_command_that_is_shown_exists_with_its_options(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    shown = re.findall(r"`batchgen ([a-z][^`\n]*)`", text)
    shown += re.findall(r"(?m)^(?:\.venv/bin/)?batchgen ([a-z].*?)(?: +#.*)?$", "".join(blocks(path, "")))
    assert shown or path.name not in {"README.md", "cli.md"}
    for line in shown:
        name, *words = line.replace("[", "").replace("]", "").split()
        assert name in COMMANDS, line
        assert {word for word in words if word.startswith("--")} <= _options(COMMANDS[name]), line


def test_make_targets_of_the_readme_exist() -> None:
    targets = set(re.findall(r"(?m)^([a-z]+):", text_of("Makefile")))
    shown = re.findall(r"(?m)(?:^|`)make ([a-z]+)(?:$|`)", text_of("README.md"))
    assert shown
    assert set(shown) <= targets


@pytest.mark.parametrize("code", Exit, ids=lambda code: code.name)
def test_every_exit_code_is_told(code: Exit) -> None:
    assert re.search(rf"^\| {code.value} \|", under(text_of("docs/cli.md"), "## Exit codes"), re.MULTILINE)
    assert f"**{code.value}**" in text_of("README.md")


def test_every_variable_is_told() -> None:
    said = under(text_of("docs/cli.md"), "## Environment and keys")
    for name in {
        "BATCHGEN_DB",
        "BATCHGEN_DEBUG",
        "BATCHGEN_MONTHLY",
        *(name for each in CONTRACTS for name in each.keys),
    }:
        assert f"`{name}`" in said


def test_every_option_and_fault_of_the_simulator_is_told() -> None:
    said = under(text_of("docs/cli.md"), "### Faults")
    named = set(re.findall(r"`([^`]+)`", "\n".join(row.split("|")[1] for row in said.splitlines() if row[:1] == "|")))
    options = {each for each in Options.__dataclass_fields__ if each not in {"chances", "routes", "keys"}} | {"p_FAULT"}
    assert named == options | {str(fault) for fault in Fault}
    Options.parse(["p_drop=0.1", "p500_4k=0.3", "retry_after=50ms", "latency=none", "spend=none"])


# --- JSON -----------------------------------------------------------------------------------------------------------


def _keys(module: str, function: str) -> set[str]:
    """Every key of every dictionary that a function writes down."""
    tree = ast.parse((PACKAGE / module).read_text(encoding="utf-8"))
    found = next(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == function)
    dictionaries = (node for node in ast.walk(found) if isinstance(node, ast.Dict))
    return {str(key.value) for each in dictionaries for key in each.keys if isinstance(key, ast.Constant)}


def _attempt_fields() -> set[str]:
    money = {"estimated", "reserved", "billed"}
    return {f"{name}_usd" if name in money else name for name in AttemptRow.__dataclass_fields__}


OTHERS = "### Others"
FIELDS = {
    "run": (
        "### `run --json`",
        lambda: _keys("report/event_fields.py", "event_fields") | _keys("report/event_fields.py", "summary_fields"),
    ),
    "status": (
        "### `status --json`",
        lambda: {"run"} | _keys("report/fields.py", "job_fields") | _keys("report/fields.py", "run_fields"),
    ),
    "plan": (
        "### `plan --json`",
        lambda: _keys("report/fields.py", "plan_fields") | _keys("report/fields.py", "headroom_fields"),
    ),
    "tasks": ("### `tasks --json` and `report --format`", lambda: set(COLUMNS)),
    "show": ("### `show --json`", lambda: {"text", "attempts"} | _attempt_fields()),
    "report": (
        "### `report --json`",
        lambda: _keys("report/summary_fields.py", "report_fields") | _keys("report/summary_fields.py", "_group_fields"),
    ),
    "reconcile": (
        "### `reconcile --json`",
        lambda: {
            name
            for function in ("reconciliation_fields", "_part_fields", "_notable", "_row_fields")
            for name in _keys("report/reconciliation_fields.py", function)
        },
    ),
    "probe": ("### `probe --json`", lambda: _keys("report/probe_fields.py", "probe_fields")),
    "check": (OTHERS, lambda: _keys("cli/check.py", "check") | {"file", "line", "column", "key", "message"}),
    "retry": (OTHERS, lambda: _keys("cli/retry.py", "retry") | _keys("cli/retry.py", "_give_up")),
    "recover": (OTHERS, lambda: _keys("report/recovery_fields.py", "recovery_fields")),
    "cancel": (OTHERS, lambda: _keys("cli/cancel.py", "cancel")),
    "ceiling": (OTHERS, lambda: _keys("report/fields.py", "month_fields")),
    "rebuild": (OTHERS, lambda: _keys("report/fields.py", "rebuilt_fields") | _keys("cli/rebuild.py", "_write_index")),
    "verify": (OTHERS, lambda: _keys("report/fields.py", "proof_fields") | {"check", "where", "detail"}),
    "doctor": (OTHERS, lambda: set(MachineFinding.__dataclass_fields__)),
}


@pytest.mark.parametrize("command", FIELDS)
def test_every_field_of_json_is_told(command: str) -> None:
    heading, fields = FIELDS[command]
    said = under(text_of("docs/cli.md"), heading)
    assert {name for name in fields() if f"`{name}`" not in said} == set()


def test_every_field_of_the_index_is_told() -> None:
    said = under(text_of("docs/cli.md"), "## Files")
    assert all(f"`{name}`" in said for name in _keys("store/output/image_index.py", "write_line"))


def test_every_test_that_the_reliability_page_names_is_there() -> None:
    named = re.findall(
        r"`((?:unit|contract|integration|acceptance|chaos)/test_\w+\.py)`", text_of("docs/reliability.md")
    )
    assert len(named) > 30
    assert [name for name in named if not (ROOT / "tests" / name).is_file()] == []


@pytest.mark.parametrize("errand", errands(), ids=lambda errand: errand.title)
def test_every_file_that_a_change_touches_is_there(errand: Errand) -> None:
    assert errand.always
    assert errand.missing == []


# --- the manifest ---------------------------------------------------------------------------------------------------


def _rows(part: str) -> dict[str, str]:
    """The rows of a table by the name in their first cell."""
    rows = (row for row in part.splitlines() if row.startswith("| `"))
    return {row.split("`")[1]: row for row in rows}


@pytest.mark.parametrize(
    ("definition", "heading", "prefix"),
    [
        ("", "## Keys", ""),
        ("CatalogPrompt", "## Prompts", ""),
        ("WrittenPrompt", "## Prompts", ""),
        ("Output", "## Output", "output."),
        ("LimitKeys", "## Limits", "limits."),
    ],
)
def test_every_key_of_the_manifest_is_told_with_its_default(definition: str, heading: str, prefix: str) -> None:
    found: dict[str, Any] = schema()
    part = found["$defs"][definition] if definition else found
    rows = _rows(under(text_of("docs/manifest.md"), heading))
    told = {name for name in rows if name.startswith(prefix)}
    expected = {prefix + name for name in part["properties"]}
    assert expected <= told
    if definition != "WrittenPrompt":
        assert {name for name in told if not name.startswith("{")} == expected
    for name, about in part["properties"].items():
        if name in part.get("required", ()) and name != "from":
            assert rows[prefix + name].rstrip(" |").endswith("required")
        elif isinstance(about.get("default"), str | int):
            value = str(about["default"])
            assert (value.lower() if isinstance(about["default"], bool) else value) in rows[prefix + name]


def _sources(manifest: dict[str, Any]) -> dict[str, set[str]]:
    """The catalogs a manifest names, each with the columns its templates need."""
    found: dict[str, set[str]] = {}
    for prompt in manifest.get("prompts", ()):
        if "from" in prompt:
            texts = [prompt["id"], prompt["text"], prompt.get("file", manifest.get("output", {}).get("file", ""))]
            texts += _places(prompt)
            names = {first or second for text in texts for first, second in _COLUMN.findall(text)}
            found.setdefault(prompt["from"], set()).update(names - _SPECIAL)
    return found


def _places(prompt: dict[str, Any]) -> list[str]:
    """Where its input images are, as written."""
    return [*prompt.get("references", ()), *([prompt["mask"]] if "mask" in prompt else [])]


def _load(folder: Path, manifest: str) -> int:
    """How many tasks a manifest makes, with the files that it names beside it."""
    for prompt in yaml.safe_load(manifest).get("prompts", ()):
        for place, number in product(_places(prompt), (1, 2)):
            path = folder / _COLUMN.sub(lambda found: f"{found[1]}-{number}", place).replace(" }}", "")  # noqa: B023
            path.parent.mkdir(exist_ok=True)
            path.touch()
    for name, columns in _sources(yaml.safe_load(manifest)).items():
        ordered = sorted(columns)
        rows = (",".join(f"{column}-{number}" for column in ordered) for number in (1, 2))
        (folder / name).write_text("\n".join([",".join(ordered), *rows]) + "\n", encoding="utf-8")
    path = folder / "job.yaml"
    path.write_text(manifest, encoding="utf-8")
    loaded = load_manifest(path, load_catalog())
    plan = expand(loaded)
    plan.take({use.place: InputFile(use.place, 0, 0, "", 1, 1) for use in plan.references()}, {})
    assert plan.totals.tasks == sum(len(plan.variant_sets[prompt.variant_set]) for prompt in plan.prompts())
    return plan.totals.tasks


EXAMPLES = [(path, number, body) for path in PAGES for number, body in enumerate(blocks(path, "yaml"))]
WHOLE = [each for each in EXAMPLES if yaml.safe_load(each[2]).get("version") == 1]
PARTS = [each for each in EXAMPLES if each not in WHOLE]


@pytest.mark.parametrize(("path", "number", "body"), WHOLE, ids=lambda value: getattr(value, "name", str(value)[:1]))
def test_manifest_that_is_shown_can_be_used(tmp_path: Path, path: Path, number: int, body: str) -> None:
    assert _load(tmp_path, body) > 0


@pytest.mark.parametrize(("path", "number", "body"), PARTS, ids=lambda value: getattr(value, "name", str(value)[:1]))
def test_part_of_a_manifest_that_is_shown_can_be_used(tmp_path: Path, path: Path, number: int, body: str) -> None:
    """What a part leaves out is added; all of it is read by the manifest's own reader, as it is written."""
    given = yaml.safe_load(body)
    rest = {
        "version": "1",
        "name": "part",
        "route": "apiyi/gpt-image-2-vip",
        "prompts": "[{id: a, text: b}]",
        "sizes": '["1:1@1K"]',
    }
    missing = "".join(f"{key}: {value}\n" for key, value in rest.items() if key not in given)
    assert _load(tmp_path, missing + body) > 0


def test_every_part_of_the_manifest_has_an_example() -> None:
    shown = [yaml.safe_load(body) for path, _, body in EXAMPLES if path.name == "manifest.md"]
    assert {key for each in shown for key in each} >= set(schema()["properties"]) - {"downgrade"}
    assert {key for each in shown for key in each.get("limits", ())} == set(
        schema()["$defs"]["LimitKeys"]["properties"]
    )


# --- lifecycle, routes, and all that is generated -------------------------------------------------------------------


@pytest.mark.parametrize(("page", "part"), [(page, part) for page, parts in TABLES.items() for part in parts])
def test_generated_section_is_up_to_date(page: str, part: str) -> None:
    """After a change: `python -m tests.docs_tables`."""
    assert section(text_of(f"docs/{page}"), part) == TABLES[page][part]()


def test_every_marked_section_is_generated() -> None:
    for path in PAGES:
        marked = re.findall(r"<!-- made by tests/docs_tables\.py: (.+) -->", path.read_text(encoding="utf-8"))
        assert marked == list(dict.fromkeys(marked))
        assert set(marked) == set(TABLES.get(path.name, {}))


def test_diagram_has_exactly_the_moves_of_the_table() -> None:
    drawn = set(re.findall(r"^ +(\w+) --> (\w+): (\w+)$", text_of("docs/lifecycle.md"), re.MULTILINE))
    legal = {(str(source), str(to), str(event)) for event, (sources, to) in TRANSITIONS.items() for source in sources}
    assert drawn == legal


def test_every_state_event_charge_and_outcome_is_told() -> None:
    text = text_of("docs/lifecycle.md")
    rows = _rows(text)
    for value in (*TaskState, *TaskEvent, *Charge, *OutcomeKind):
        assert str(value) in rows
    for charge, targets in CHARGE_MOVES.items():
        assert all(target in rows[charge].split("|")[-2] for target in targets)


def test_every_route_is_told() -> None:
    rows = _rows(under(text_of("docs/routes.md"), "## Prices and sizes"))
    assert set(rows) == {contract.route for contract in CONTRACTS}
    assert all(contract.checked in rows[contract.route] for contract in CONTRACTS)


# --- the pages themselves -------------------------------------------------------------------------------------------


def _anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", _without_code(path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=page_id)
def test_every_link_leads_somewhere(path: Path) -> None:
    for link in _LINK.findall(_without_code(path.read_text(encoding="utf-8"))):
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), link
        assert not anchor or anchor in _anchors(target), link


@pytest.mark.parametrize("path", PAGES, ids=page_id)
def test_page_is_plain_text_of_short_lines(path: Path) -> None:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        assert len(line) <= LINES, f"line {number} has {len(line)} characters"
        assert line == line.rstrip(), f"line {number} ends in blanks"


def test_readme_is_at_most_two_hundred_lines() -> None:
    assert len(text_of("README.md").splitlines()) <= 200


def _defined() -> dict[str, set[str]]:
    """Classes and functions of the program by name; a class with its methods and attributes."""
    found: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found.setdefault(node.name, set())
            elif isinstance(node, ast.ClassDef):
                methods = (each for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))
                found.setdefault(node.name, set()).update(each.name for each in methods)
    return found


def test_code_that_is_named_exists() -> None:
    defined, said = _defined(), text_of("docs/architecture.md") + text_of("docs/lifecycle.md")
    for name in re.findall(r"`([a-z_]+)\(\)`", said):
        assert name in defined, name
    for owner, name in re.findall(r"`([A-Z]\w+)\.(\w+)`", said):
        assert name in defined.get(owner, ()), f"{owner}.{name}"
    for name in re.findall(r"`([\w./]+\.(?:py|yaml))`", said):
        assert (PACKAGE / name).exists() or (ROOT / name).exists(), name
    for name in re.findall(r"^\| `(\w+)/` \|", said, re.MULTILINE):
        assert (PACKAGE / name).is_dir(), name


GLOSSARY = re.findall(r"^\| ([^|`]+) \| ([^|]+) \| `([\w.]+)` \|$", text_of("docs/glossary.md"), re.MULTILINE)


def test_glossary_has_each_word_once_and_in_order() -> None:
    words = [word for word, _, _ in GLOSSARY]
    assert words == sorted(set(words))
    assert len(words) == len(re.findall(r"^\| ", text_of("docs/glossary.md"), re.MULTILINE)) - 2  # head and rule


@pytest.mark.parametrize("name", [name for _, _, name in GLOSSARY])
def test_what_the_glossary_names_is_there(name: str) -> None:
    parts = name.split(".")
    depth = next(
        number
        for number in range(len(parts), 0, -1)
        if (PACKAGE.joinpath(*parts[:number])).with_suffix(".py").is_file()
    )
    module = import_module(".".join(("batchgen", *parts[:depth])))
    found: Any = module
    for part in parts[depth:]:
        found = getattr(found, part)
    if isinstance(found, type | FunctionType):
        assert found.__module__ == module.__name__


def test_folders_are_told_in_import_order() -> None:
    told = re.findall(r"^\| `(\w+)/` \|", text_of("docs/architecture.md"), re.MULTILINE)
    assert told == [name for name in ORDER if (PACKAGE / name).is_dir()]


def test_tests_that_are_named_exist() -> None:
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    for path in PAGES:
        for name in re.findall(r"`(test_\w+)`", path.read_text(encoding="utf-8")):
            assert f"def {name}(" in tests, name


def test_every_promise_of_the_readme_has_its_place_and_its_tests() -> None:
    promised = re.findall(r"^(\d+)\. ", under(text_of("README.md"), "## Promises"), re.MULTILINE)
    kept = re.findall(
        r"^\| (\d+) ", under(text_of("docs/architecture.md"), "## Where each promise is kept"), re.MULTILINE
    )
    assert promised == kept
