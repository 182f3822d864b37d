from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.domain.names import safe_segment
from batchgen.store.output.file_names import output_name, safe_path

HOSTILE = [
    "../../etc/passwd",
    "/etc/passwd",
    "//server/share/x",
    "C:\\Windows\\x",
    "a/../../b",
    "a/./b",
    "a//b",
    ".batchgen/57.json",
    "a/.hidden",
    "nul",
    "a/COM1.tar/b",
    "aux .png",
    "com¹.x",
    "a\0b",
    "a\nb",
    "x\u202egnp",
    "dot.",
    "blank ",
    "e\u0301",
    "\ud800",
    "z" * 300,
    "ü" * 150,
    "",
    "/",
    "..",
    "%2E%2E/..",
]


@pytest.mark.parametrize("path", HOSTILE)
def test_safe_path_has_only_harmless_segments_when_the_path_is_hostile(path: str) -> None:
    segments = safe_path(path)
    assert segments
    for segment in segments:
        assert segment not in {"", ".", ".."}
        assert not set(segment) & set('/\\\0<>:"|?*\n\u202e')
        assert not segment.startswith(".")
        assert segment[-1] not in ". "
        assert len(segment.encode()) <= 200
        assert segment.split(".")[0].rstrip().lower() not in {"nul", "com1", "aux", "com¹"}


@given(st.text())
def test_safe_path_changes_nothing_when_it_is_applied_again(text: str) -> None:
    once = safe_path(text)
    assert safe_path("/".join(once)) == once


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_safe_path_leaves_what_the_manifest_made_safe(ids: list[str]) -> None:
    segments = tuple(map(safe_segment, ids))
    assert safe_path("/".join(segments)) == segments


@pytest.mark.parametrize(
    ("kind", "revision", "suffix", "name"),
    [
        ("png", 1, "", "a/b.png"),
        ("jpeg", 1, "", "a/b.jpg"),
        ("webp", 2, "", "a/b-r2.webp"),
        ("png", 12, "-a57", "a/b-r12-a57.png"),
    ],
)
def test_output_name_tells_content_revision_and_attempt(kind: str, revision: int, suffix: str, name: str) -> None:
    assert output_name("a/b", kind, revision, suffix) == name
