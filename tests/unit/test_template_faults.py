"""Whatever stands in a template, it is filled in or refused in one sentence, in bounded time and memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchgen.manifest.templates.filters import MAX_CHARS, NAMES
from batchgen.manifest.templates.path_template import PathTemplate
from batchgen.manifest.templates.sandbox import environment
from batchgen.manifest.templates.template import Template, compile_template
from tests.support.pace import no_longer_than

BIG = "x y" * 10_000
ROW: dict[str, Any] = {
    "name": "Mug",
    "empty": "",
    "number": "12",
    "digits": "9" * 4_000,
    "hex": "f" * 30_000,
    "big": BIG,
    "twin": "".join(BIG),
    "huge": "z" * 1_000_000,
    "odd": "ﬃ" * 20_000,
}
CELLS = {**ROW, "row": ROW}

FAULTS = {
    "{{ name | truncate(1) }}": "expected length >= 3, got 1",
    "{{ name | truncate(-5) }}": "expected length",
    "{{ name | truncate('a') }}": "cannot be filled in",
    "{{ name | truncate(5, true, 'x', -1) }}": "expected leeway",
    "{{ name | truncate(5, end=big) }}": "expected length",
    "{{ 1e999 | int }}": "makes inf, which is no number",
    "{{ 1e999 }}": "makes inf",
    "{{ -1e999 < 5 }}": "makes inf",
    "{{ '1e999' | int }}": None,
    "{{ '1e999' | float }}": "makes inf",
    "{{ 'nan' | float }}": "makes nan",
    "{{ 1e308 * 10 }}": "makes inf",
    "{{ digits ~ digits | int }}": "cannot be filled in",
    "{{ hex | int(0, 16) }}": "a number of more than 1,000 digits",
    "{{ name | int(0, 10 * 9999999999) }}": None,
    "{{ " + "9" * 5_000 + " }}": "has too many digits",
    "{{ 0x" + "f" * 5_000 + " }}": "a number of more than 1,000 digits",
    "{{ " + " * ".join(["9" * 900] * 30) + " }}": "a number of more than 1,000 digits",
    "{{ 1 // 0 }}": "division or modulo by zero",
    "{{ 1 % 0 }}": "modulo by zero",
    "{{ 5 is divisibleby 0 }}": "modulo by zero",
    "{{ 5 is divisibleby 'a' }}": "cannot be filled in",
    "{{ name is in 5 }}": "cannot be filled in",
    "{{ name | round }}": "could not convert string to float",
    "{{ 1 | round(1000000000) }}": None,
    "{{ 1 | round('a') }}": "cannot be filled in",
    "{{ 5 | join }}": "cannot be filled in",
    "{{ [[1]] | join }}": "a list is not a text",
    "{{ [name] | upper }}": "a list is not a text",
    "{{ [name] ~ 'a' }}": "a list is not a text",
    "{{ none | int }}": "a NoneType is not a text",
    "{{ name | replace(1, 2) }}": "cannot be filled in",
    "{{ name | replace('', big) }}": "a text of more than 32,768",
    "{{ name.split('') }}": "empty separator",
    "{{ name.split(1) }}": "cannot be filled in",
    "{{ name.upper(1) }}": "cannot be filled in",
    "{{ name.startswith(5) }}": "cannot be filled in",
    "{{ range(1, 2, 0) | join }}": "must not be zero",
    "{{ range('a') | join }}": "cannot be filled in",
    "{{ range() | join }}": "cannot be filled in",
    "{{ range(10 * 9999999999999999999999) | join }}": "cannot be filled in",
    "{{ range(1000, unknown=1) }}": "cannot be filled in",
    "{{ [1, 'a'] | sort | join }}": "not supported between",
    "{{ name[1.5] }}": "there is nothing called",
    "{{ name['a':'b'] }}": "slice indices must be integers",
    "{{ name[::0] }}": "slice step cannot be zero",
    "{{ nope | default }}": None,
    "{{ nope ~ 'a' }}": "there is nothing called nope",
    "{{ nope + 1 }}": "there is nothing called nope",
    "{{ -nope }}": "there is nothing called nope",
    "{{ nope[0] }}": "there is nothing called nope",
    "{% if nope %}{% endif %}": "there is nothing called nope",
    "{% for x in nope %}{% endfor %}": "there is nothing called nope",
    "{% for x in 5 %}{% endfor %}": "cannot be filled in",
    "{% for a, b in name %}{% endfor %}": "cannot be filled in",
    "{{ row[nope] }}": "there is nothing called",
    "{{ row[[]] }}": "there is nothing called",
    "{{ -name }}": "cannot be filled in",
    "{{ name < 5 }}": "not supported between",
    "{{ name | default(1, 2, 3) }}": "cannot be filled in",
    "{{ name | upper(1, 2) }}": "cannot be filled in",
    "{{ name | sort(attribute='a.b') | join }}": "there is nothing called",
    "{{ name * -1 }}": None,
    "{{ name * 1.5 }}": "cannot be filled in",
    "{{ name * name }}": "cannot be filled in",
    "{{ [1] * 3 }}": "* is for numbers and texts",
    "{{ huge | upper }}": "huge has 1,000,000 characters; 32,768 are the most that a template works on",
    "{{ row.huge | length }}": "huge has 1,000,000 characters",
    "{{ odd | upper }}": "a text of more than 32,768",
    "{{ odd.upper() | truncate(9) }}": "a text of more than 32,768",
    "{{ (big + big) | truncate(9) }}": "a text of more than 32,768",
    "{{ (big ~ big) | truncate(9) }}": "a text of more than 32,768",
    "{% for x in (range(600) | list) + (range(600) | list) %}{% endfor %}": "at most 1,000 times",
}


@pytest.mark.parametrize("source", FAULTS, ids=lambda source: source[:50])
def test_fault_of_a_template_is_one_sentence(source: str) -> None:
    words = FAULTS[source]
    if words is None:
        compile_template(source).render(CELLS)
        return
    with pytest.raises(ValueError) as caught:
        compile_template(source).render(CELLS)
    said = str(caught.value)
    assert words in said
    assert "\n" not in said
    assert len(said) < 500


SLOW = {
    "sums of texts": "{{ " + "+".join(["big"] * 8_000) + " }}",
    "joins of texts": "{{ " + "~".join(["big"] * 8_000) + " }}",
    "sorts": "{{ big" + " | sort" * 4_000 + " | join }}",
    "many sorts": "{{ big | sort | first }}" * 1_300,
    "sorts in a loop": "{% for i in range(1000) %}{{ big | sort | first }}{% endfor %}",
    "products": "{{ " + " * ".join(["(digits | int)"] * 1_500) + " }}",
    "sums in a loop": "{% for i in range(1000) %}{% if " + "+".join(["1"] * 400) + " %}{% endif %}{% endfor %}",
    "texts compared in a loop": "{% for i in range(1000) %}{% if "
    + " and ".join(["big == twin"] * 900)
    + " %}{% endif %}{% endfor %}",
    "texts looked for in a loop": "{% for i in range(1000) %}{% if "
    + " or ".join(["hex in big"] * 900)
    + " %}{% endif %}{% endfor %}",
    "methods in a loop": "{% for i in range(1000) %}{% if big.split('x') %}{% endif %}{% endfor %}",
    "lists of lists": "{{ [[[big] * 1000] * 1000] * 1000 == [[[twin] * 1000] * 1000] * 1000 }}",
    "loops in loops": "{% for i in range(30) %}" * 15 + "x" + "{% endfor %}" * 15,
    "too many loops in loops": "{% for i in name %}" * 30 + "x" + "{% endfor %}" * 30,
    "ifs in ifs": "{% if name %}" * 300 + "x" + "{% endif %}" * 300,
    "brackets": "{{ " + "[" * 300 + "]" * 300 + " }}",
    "nots": "{{ " + "not " * 7_000 + "name }}",
    "indexes": "{{ name" + "[0]" * 9_000 + " }}",
    "blanks in braces": "{a" + " " * 32_000,
    "braces": "{ " * 16_000,
    "huge in pieces": "{{ huge[:9] }}" * 2_000,
}


def outcome(source: str, compiled: Callable[[str], Template | PathTemplate] = compile_template) -> str:
    """The text that a template comes to, or the sentence that refuses it."""
    try:
        text = compiled(source).render(CELLS)
    except ValueError as error:
        return f"refused: {error}"
    assert len(text) <= 2 * MAX_CHARS
    return ""


@pytest.mark.parametrize("source", SLOW.values(), ids=SLOW)
def test_much_work_is_refused_or_done_in_a_moment(source: str) -> None:
    with no_longer_than(1_200):
        assert "\n" not in outcome(source)


@pytest.mark.parametrize("name", ["sums of texts", "joins of texts", "products", "lists of lists", "methods in a loop"])
def test_much_work_needs_little_memory(name: str) -> None:
    tracemalloc.start()
    try:
        assert outcome(SLOW[name]).startswith("refused")
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()


ATOMS = st.sampled_from(
    [
        *(
            "name",
            "empty",
            "number",
            "digits",
            "big",
            "huge",
            "odd",
            "nope",
            "row",
            "row.name",
            "row['x']",
            "loop.index",
        ),
        *("0", "1", "-1", "3", "1000000000", "9" * 30, "1.5", "1e999", "-1e999", "1e-999", "'a'", "''", "'é'", "'%s'"),
        *("true", "none", "[]", "[1, 'a']", "()", "('a',)", "range(3)", "range(0)", "'1e999'", "'nan'", "'inf'"),
    ]
)
METHODS = st.sampled_from(["upper", "split", "strip", "startswith", "removeprefix", "title", "lstrip", "endswith"])


def deeper(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    arguments = st.lists(inner, max_size=3).map(", ".join)
    return st.one_of(
        st.builds("({} | {}({}))".format, inner, st.sampled_from(NAMES), arguments),
        st.builds("({} | {})".format, inner, st.sampled_from(NAMES)),
        st.builds("({}.{}({}))".format, inner, METHODS, arguments),
        st.builds("({} {} {})".format, inner, st.sampled_from(OPERATORS), inner),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds("({}[{}:{}])".format, inner, inner, inner),
        st.builds("({}[{}])".format, inner, inner),
        st.builds("({} is {})".format, inner, st.sampled_from(sorted(environment(None).tests))),
        st.builds("({} is {}({}))".format, inner, st.sampled_from(sorted(environment(None).tests)), arguments),
        st.builds("[{}]".format, arguments),
        st.builds("({}{})".format, st.sampled_from(["-", "+", "not "]), inner),
        st.builds("range({})".format, arguments),
    )


OPERATORS = ["+", "-", "*", "/", "//", "%", "~", "==", "<", ">=", "in", "not in", "and", "or", "**"]
EXPRESSIONS = st.recursive(ATOMS, deeper, max_leaves=12)
TEMPLATES = st.one_of(
    st.builds("{{{{ {} }}}}".format, EXPRESSIONS),
    st.builds("{{% for x in {} %}}{{{{ {} }}}}{{% endfor %}}".format, EXPRESSIONS, EXPRESSIONS),
    st.builds("{{% if {} %}}{{{{ {} }}}}{{% endif %}}".format, EXPRESSIONS, EXPRESSIONS),
    st.text(st.sampled_from("{}%#|~()[]'\"0123456789.,:+-*/ \nabefinorx_"), max_size=60),
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(TEMPLATES, st.sampled_from([compile_template, PathTemplate]))
def test_any_template_is_filled_in_or_refused(source: str, compiled: Callable[[str], Template | PathTemplate]) -> None:
    with no_longer_than(900):
        said = outcome(source, compiled)
        assert "\n" not in said
        assert "sys.set_int" not in said
