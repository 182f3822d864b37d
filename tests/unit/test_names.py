from __future__ import annotations

import unicodedata
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.domain.names import SEGMENT_BYTES, fold, safe_segment

HOSTILE = {
    "": "%",
    ".": "%2E",
    "..": "%2E%2E",
    "...": "%2E.%2E",
    "../etc/passwd": "%2E.%2Fetc%2Fpasswd",
    "..\\..\\windows": "%2E.%5C..%5Cwindows",
    "/etc/passwd": "%2Fetc%2Fpasswd",
    "//server/share": "%2F%2Fserver%2Fshare",
    "\\\\server\\share": "%5C%5Cserver%5Cshare",
    "C:\\x": "C%3A%5Cx",
    "C:": "C%3A",
    "a:stream": "a%3Astream",
    ".batchgen": "%2Ebatchgen",
    ".hidden": "%2Ehidden",
    "name.": "name%2E",
    "name ": "name%20",
    " name": "%20name",
    "a\0b": "a%00b",
    "a\nb": "a%0Ab",
    "a\x1b[31m": "a%1B[31m",
    "a\x7f\x85": "a%7F%C2%85",
    "100%": "100%25",
    "%2F": "%252F",
    "%~0123456789abcdef": "%25~0123456789abcdef",
    '<>:"|?*': "%3C%3E%3A%22%7C%3F%2A",
    "photo\u202egnp.exe": "photo%E2%80%AEgnp.exe",
    "zero\u200bwidth": "zero%E2%80%8Bwidth",
    "\ufeffbom": "%EF%BB%BFbom",
    "line\u2028end": "line%E2%80%A8end",
    "\ud800": "%ED%A0%80",
    "non\ufdd0char\uffff": "non%EF%B7%90char%EF%BF%BF",
    "con": "%63on",
    "CON": "%43ON",
    "Con.txt": "%43on.txt",
    "aux .png": "%61ux .png",
    "nul.tar.gz": "%6Eul.tar.gz",
    "COM¹": "%43OM¹",
    "lpt9": "%6Cpt9",
    "COM0.x": "%43OM0.x",
    "conin$": "%63onin$",
    "cafe\u0301": "café",
}
HARMLESS = [
    "MUG-01",
    "Größe 3",
    "茶碗",
    "a.b.c",
    "com10",
    "console",
    "auxiliary",
    "nulls",
    "👩‍🚀",
    "x" * 200,
    "{size}",
    "-",
    "~",
]


@pytest.mark.parametrize(("text", "segment"), HOSTILE.items(), ids=ascii)
def test_segment_is_encoded_when_the_name_is_hostile(text: str, segment: str) -> None:
    assert safe_segment(text) == segment


def test_segment_suite_covers_forty_hostile_names() -> None:
    assert len(HOSTILE) >= 40
    assert len({fold(segment) for segment in HOSTILE.values()}) == len(HOSTILE)


@pytest.mark.parametrize("text", HARMLESS, ids=ascii)
def test_segment_stays_as_it_is_when_the_name_is_harmless(text: str) -> None:
    assert safe_segment(text) == text


def test_segment_is_cut_with_a_hash_when_over_two_hundred_bytes() -> None:
    long, other = "é" * 150, "é" * 149 + "e"
    cut = safe_segment(long)
    assert len(cut.encode()) <= SEGMENT_BYTES
    assert cut.startswith("é" * 80)
    assert cut != safe_segment(other)
    assert safe_segment(cut) != cut  # so that no short name can pose as a cut one


def test_segment_keeps_marks_when_it_is_cut() -> None:
    marks = "\ufdd1\ufdd2"
    assert safe_segment("x-\ufdd1", keep=marks) == "x-\ufdd1"
    cut = safe_segment("\ufdd2" + "/" * 300 + "\ufdd1", keep=marks)
    assert "\ufdd1" in cut
    assert "\ufdd2" in cut
    assert len(cut.encode()) <= SEGMENT_BYTES


def test_segment_is_a_device_name_when_a_mark_could_make_it_one() -> None:
    assert safe_segment("com\ufdd1", keep="\ufdd1") == "%63om\ufdd1"


@given(st.text(st.characters(exclude_categories=()), max_size=60))
def test_segment_decodes_to_the_name_when_not_cut(text: str) -> None:
    segment = safe_segment(text)
    assert len(segment.encode()) <= SEGMENT_BYTES
    if text and "%~" not in segment:
        assert unquote(segment, errors="surrogatepass") == unicodedata.normalize("NFC", text)
    assert not set(segment) & set('/\\:*?"<>|\0\n')
    assert segment[0] not in ". "
    assert segment[-1] not in ". "


@given(st.text(max_size=400))
def test_segment_is_never_over_long(text: str) -> None:
    assert 0 < len(safe_segment(text).encode()) <= SEGMENT_BYTES


@pytest.mark.parametrize(
    ("one", "other"), [("Mug", "mUG"), ("STRASSE", "straße"), ("caf\u00e9", "CAFE\u0301")], ids=ascii
)
def test_fold_joins_names_when_only_case_or_composition_differs(one: str, other: str) -> None:
    assert fold(one) == fold(other)
