from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.domain.job import output_path
from batchgen.domain.size import Size
from batchgen.manifest.templates.path_template import PathTemplate
from batchgen.manifest.templates.sandbox import environment
from batchgen.manifest.templates.template import _Plain, _Rendered, compile_template
from tests.support.pace import no_longer_than

ROW = {"sku": "A/1", "name": "Mug", "tags": "blue| warm", "price": "4.50", "Product Name": "Big mug", "items": "three"}
NAMES: dict[str, Any] = {
    "sku": "A/1",
    "name": "Mug",
    "tags": "blue| warm",
    "price": "4.50",
    "Product_Name": "Big mug",
    "id": "A-1",
    "big": "x" * 30_000,
    "row": ROW,
}


def render(source: str) -> str:
    return compile_template(source).render(NAMES)


def refusal(source: str) -> str:
    with pytest.raises(ValueError) as caught:
        render(source)
    return str(caught.value)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("Photo of {{ name }}, 100% {{sku}}", "Photo of Mug, 100% A/1"),
        ("plain", "plain"),
        ("", ""),
        ("{{ Product_Name }}", "Big mug"),
        ('{{ row["Product Name"] }} {{ row.sku }} {{ row.items }}', "Big mug A/1 three"),
        ("{{ name | upper }}", "MUG"),
        ("{{ name.lower() }}", "mug"),
        ("{{ tags | split('|') | join(', ') }}", "blue, warm"),
        ("{% for tag in tags.split('|') %}{{ loop.index }}{{ tag }}{% endfor %}", "1blue2 warm"),
        ("{% if price | float > 4 %}dear{% else %}cheap{% endif %}", "dear"),
        ("{{ colour | default('any colour') }}", "any colour"),
        ("{{ price | float * 2 }}", "9.0"),
        ("{{ price | float | round(1) }}", "4.5"),
        ("{{ name ~ '-' ~ sku }}", "Mug-A/1"),
        ("{{ name[:2] }}{{ name[0] }}", "MuM"),
        ("{{ 'x' * 3 }}", "xxx"),
        ("{% for i in range(3) %}{{ i }}{% endfor %}", "012"),
        ("{% raw %}{{ name }}{% endraw %}", "{{ name }}"),
        ("a {# said aside #}b", "a b"),
        ("{{ name == 'Mug' }}", "true"),
        ("line\n{{ name }}\n", "line\nMug"),
    ],
)
def test_template_renders(source: str, text: str) -> None:
    assert render(source) == text


def test_template_leaves_a_cell_alone_when_it_looks_like_a_template() -> None:
    nasty = "{{ 7 * 7 }}{% raw %}%s{0}"
    assert compile_template("a {{ name }}").render({"name": nasty}) == f"a {nasty}"
    assert compile_template("a {{ name | trim }}").render({"name": nasty}) == f"a {nasty}"


ESCAPES = [
    "{{ name.__class__.__mro__[1].__subclasses__() }}",
    "{{ ''.__class__ }}",
    "{{ row.__class__ }}",
    "{{ row['__class__'] }}",
    "{{ name['__class__'] }}",
    "{{ name | attr('__class__') }}",
    "{{ ['__class__'] | map('upper') }}",
    "{{ self }}",
    "{{ self.__init__.__globals__ }}",
    "{{ range.__globals__ }}",
    "{{ cycler.__init__.__globals__.os }}",
    "{{ lipsum.__globals__ }}",
    "{{ namespace() }}",
    "{{ config }}",
    "{{ get_flashed_messages() }}",
    "{{ '{0.__class__}'.format(name) }}",
    "{{ name.format_map(row) }}",
    "{{ row.keys }}",
    "{{ row.update({}) }}",
    "{{ name.join(row) }}",
    "{{ loop.cycle }}",
    "{% for x in tags %}{{ loop.cycle('a') }}{% endfor %}",
    "{% for x in tags recursive %}{{ loop(x) }}{% endfor %}",
    "{% set x = 1 %}",
    "{% macro x() %}{% endmacro %}",
    "{% include '/etc/passwd' %}",
    "{% import 'x' as y %}",
    "{% extends 'x' %}",
    "{% block x %}{% endblock %}",
    "{% filter upper %}x{% endfilter %}",
    "{% call x() %}{% endcall %}",
    "{% with x = 1 %}{% endwith %}",
    "{{ name.split(**row) }}",
    "{{ row }}",
    "{{ tags.split('|') }}",
    "{{ none }}",
    "{{ range }}",
    "{{ __name__ }}",
]
BOMBS = [
    "{{ 'a' * 50000000 }}",
    "{{ name * 50000000 }}",
    "{{ [name] * 50000000 }}",
    "{{ 9 ** 9 ** 9 }}",
    "{{ '%50000000d' % 1 }}",
    "{{ name % 1 }}",
    "{{ '{:50000000}'.format(1) }}",
    "{{ '%50000000d' | format(1) }}",
    "{{ name | center(50000000) }}",
    "{{ name.ljust(50000000) }}",
    "{{ name | indent(50000000) }}",
    "{{ range(50000000) | list }}",
    "{{ range(50000000) | join }}",
    "{% for i in range(50000000) %}x{% endfor %}",
    "{% for i in range(1000) %}{% for j in range(1000) %}x{% endfor %}{% endfor %}",
    "{% for c in big %}{% endfor %}",
    "{{ big | replace('x', big) }}",
    "{{ big | list | join(big) }}",
    "{{ big }}{{ big }}",
    "{{ big ~ big ~ big }}",
    "{{ lipsum(1000000) }}",
    "{{ " + "(" * 5_000,
    "{{ " + "-" * 20_000 + "1 }}",
    "{{ " + "9" * 5_000 + " }}",
    "x" * 40_000,
]


@pytest.mark.parametrize("source", ESCAPES)
def test_template_is_refused_when_it_reaches_for_more_than_values(source: str) -> None:
    assert "\n" not in refusal(source)


@pytest.mark.parametrize("source", BOMBS, ids=lambda source: source[:40])
def test_template_is_refused_at_once_when_it_makes_much_of_little(source: str) -> None:
    tracemalloc.start()
    with no_longer_than(300):
        try:
            refusal(source)
            assert tracemalloc.get_traced_memory()[1] < 20_000_000
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{{ nam }}", "there is nothing called nam (did you mean name?); this row has Product_Name, big, id, name"),
        ("{{ nam | upper }}", "there is nothing called nam (did you mean name?)"),
        ('{{ row["Nope"] }}', "there is nothing called Nope"),
        ("{{ size }}", "it can stand in output.file only"),
        ("{{ name | uper }}", "there is no filter uper (did you mean upper?)"),
        ("{{ name.upper }}", ".upper is not taken"),
        ("{{ name", "not a template"),
        ("a {#fff} colour", "begins a comment that has no end"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ name + 1 }}", "cannot be filled in"),
        ("{{ name.format() }}", "may be called"),
    ],
)
def test_template_says_what_is_wrong(source: str, words: str) -> None:
    assert words in refusal(source)


@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                [
                    *("{{ name }}", "{{sku}}", "{{ tags }}", "{{ row.sku }}", '{{ row["Product Name"] }}'),
                    *("{{ row.items }}", "%s", "%", "\n", " "),
                ]
            ),
            st.text(max_size=5),
        )
    )
)
def test_fast_way_gives_what_jinja_gives(parts: list[str]) -> None:
    source = "".join(parts)
    if "{" in "".join(part for part in parts if not part.startswith("{{")):
        return
    fast = compile_template(source)
    assert isinstance(fast, _Plain)
    sandbox = environment(None)
    assert fast.render(NAMES) == _Rendered(sandbox, sandbox.parse(source)).render(NAMES)


@pytest.mark.parametrize(
    "cell", ["", 4.5, 3, True, None, ["a"], "x" * 100_001, "missing"], ids=lambda cell: repr(cell)[:12]
)
def test_fast_way_to_a_column_says_what_jinja_says_of_any_cell(cell: Any) -> None:
    row = {} if cell == "missing" else {"it": cell}
    said = []
    for source in ("a {{ row.it }}", "a {{ row.it }}{{ '' }}"):
        template = compile_template(source)
        try:
            said.append(template.render({"row": row}))
        except ValueError as error:
            said.append(str(error))
    assert isinstance(compile_template("a {{ row.it }}"), _Plain)
    assert said[0] == said[1]


def path(source: str, **names: str) -> str:
    return PathTemplate(source).render(names)


@pytest.mark.parametrize(
    ("source", "names", "pattern"),
    [
        ("{{ id }}/{{ size }}-{{ sample }}", {"id": "A-1"}, "A-1/{size}-{sample}"),
        ("{{ id }}/{{ size }}", {"id": "A/1"}, "A%2F1/{size}"),
        ("{{ id | lower }}/{{ tier }}", {"id": "A/1"}, "a%2F1/{tier}"),
        ("{{ id | replace('/', '-') }}/{{ ratio }}", {"id": "A/1"}, "A-1/{ratio}"),
        ("{{ id }}", {"id": "{x}"}, "{{x}}"),
        ("{{ id }}", {"id": "Größe 3"}, "Größe 3"),
        ("con/{{ id }}", {"id": "aux.png"}, "%63on/%61ux.png"),
        ("{{ id }} / {{ size }}", {"id": "A "}, "A/{size}"),
        ("{% if id == 'a' %}x/{{ size }}{% else %}y{% endif %}", {"id": "a"}, "x/{size}"),
        ("{{ id }}", {"id": "\ufdd1/\ufdd0"}, "\ufffd%2F\ufffd"),
        ("a:b\\c", {}, "a%3Ab%5Cc"),
    ],
)
def test_path_separates_folders_by_written_slashes_only(source: str, names: dict[str, str], pattern: str) -> None:
    assert path(source, **names) == pattern


def test_path_is_completed_by_each_variant() -> None:
    pattern = path("{{ id }}-{{ ratio }}-{{ tier }}/{{ size }}-{{ sample }}", id="{A}%")
    assert output_path(pattern, Size(2048, 2048), 3) == "{A}%25-1x1-2K/2048x2048-3"


@pytest.mark.parametrize("length", [*range(165, 205), 600])
def test_path_keeps_variants_apart_when_a_name_is_cut(length: int) -> None:
    pattern = path("{{ id }}-{{ size }}-{{ sample }}", id="u" * length)
    filled = {
        output_path(pattern, size, sample) for size in (Size(3840, 2160), Size(1280, 720)) for sample in (1, 1000)
    }
    assert len(filled) == 4
    assert all(len(name.encode()) <= 200 for name in filled)


@pytest.mark.parametrize(
    "source", ["/{{ id }}", "../{{ id }}", "a//b", "a/", "./a", "{{ id }}/x", "", "a/{{ empty }}/b", "x/" * 600 + "y"]
)
def test_path_is_refused_when_it_could_leave_the_folder(source: str) -> None:
    with pytest.raises(ValueError):
        path(source, id="..", empty=" ")


@pytest.mark.parametrize(
    "source", ["{{ size | upper }}", "{% if size %}a{% endif %}", "{{ size ~ sample }}", "{{ tier[0] }}"]
)
def test_path_is_refused_when_a_special_name_does_not_stand_alone(source: str) -> None:
    with pytest.raises(ValueError, match="may only stand alone"):
        PathTemplate(source)
