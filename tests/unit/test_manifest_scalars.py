"""Values of any length, with any character, of any size: taken as they are, or a problem in one clean sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from batchgen.domain.errors import ManifestError
from batchgen.manifest.plan import expand
from tests.support.manifest import load, problems

MANIFEST = """version: 1
name: job
route: own/wide
prompts: [{id: a, text: b}]
sizes: ["1:1@1K"]
"""
VALUES = [
    *("1e999", ".inf", "-.inf", ".nan", "0x1F", "0o17", "1_000", "9" * 5_000, "0." + "9" * 5_000, "1e-400", "+5", "-1"),
    *(
        "99999999999999999",
        "2026-01-01",
        "12:30:45",
        "~",
        "no",
        "[]",
        "{}",
        '"1e999"',
        '"NaN"',
        '"\\0"',
        '"\\e[2J"',
        '"٣"',
    ),
    *('"\\uD800"', '"a\\nb"', '"\\u202e"', f'"{"x" * 5_000}"', '"/proc/self/mem"', '"999999999999999999999/min"'),
]
KEYS = [
    *("version", "name", "route", "sizes", "count", "quality", "timeout", "downgrade", "if_4k_fails", "risky_terms"),
    *("fallback", "limits.budget", "limits.concurrency", "limits.rate", "limits.attempts", "limits.unknown"),
    *("limits.unknown_total", "limits.until", "output.folder", "output.file", "output.format"),
    *("prompts.0.id", "prompts.0.text", "prompts.0.references.0", "prompts.0.file", "prompts.0.from"),
    *("route.base_url", "route.key_env", "route.price", "route.timeout"),
]


def with_value(key: str, value: str) -> str:
    top, _, rest = key.partition(".")
    if top == "prompts":
        name = rest.split(".")[1]
        prompt = {"id": "a", "text": "b"} | {name: "…"}
        written = json.dumps(prompt).replace('"…"', f"[{value}]" if name == "references" else value)
        return MANIFEST.replace("{id: a, text: b}", written)
    if top == "route" and rest:
        return MANIFEST.replace("own/wide", f"{{use: own/wide, {rest}: {value}}}")
    kept = "".join(line for line in MANIFEST.splitlines(keepends=True) if not line.startswith(f"{top}:"))
    return kept + (f"{top}: {{{rest}: {value}}}\n" if rest else f"{top}: {value}\n")


@pytest.mark.parametrize("key", KEYS)
def test_any_scalar_is_taken_or_refused_in_clean_sentences(tmp_path: Path, key: str) -> None:
    for value in VALUES:
        try:
            expand(load(tmp_path, with_value(key, value)))
        except ManifestError as error:
            said = [str(problem) for problem in error.problems]
        else:
            said = []
        assert all(each.isprintable() and len(each) < 1_100 for each in said), value


@pytest.mark.parametrize("dollars", ["1000000000.01", "99999999999999999"])
def test_budget_that_no_ledger_can_hold_is_refused(tmp_path: Path, dollars: str) -> None:
    (said,) = problems(tmp_path, MANIFEST + f"limits: {{budget: {dollars}}}\n")
    assert "it is more than 1,000,000,000 dollars" in said


def test_largest_budget_is_taken(tmp_path: Path) -> None:
    manifest = load(tmp_path, MANIFEST + "limits: {budget: 1000000000, unknown_total: 1000000000}\n")
    assert manifest.job.limits.budget == 10**15
    assert expand(manifest).totals.tasks == 1


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ('"a\\0b"', "output.folder: holds a control character"),
        ('"a\\e[2J"', "holds a control character"),
        ("job.yaml", "is a file; name a folder"),
    ],
)
def test_folder_that_cannot_be_one_is_said_before_anything_is_bought(tmp_path: Path, folder: str, words: str) -> None:
    (said,) = problems(tmp_path, MANIFEST + f"output: {{folder: {folder}}}\n")
    assert words in said
