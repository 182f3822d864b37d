"""Manifests, names and images from strangers: refused or made harmless, quickly, in little memory, below the folder."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

from batchgen.domain.names import SEGMENT_BYTES, fold
from tests.chaos.promises import promise
from tests.support.shop import Shop, gateway
from tests.unit.test_names import HOSTILE

HEAD = "version: 1\nname: job\nroute: apiyi/gpt-image-2-vip\nsizes: ['1:1@1K']\n"
TEXT = "prompts: [{id: a, text: b}]\n"
MANIFESTS = {
    "aliases": HEAD + "x: &x [a, a]\nprompts: [*x, *x]\n",
    "billion laughs": HEAD + "a: &a [l, l]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefg", "bcdefgh", strict=True)),
    "merge keys": HEAD + "prompts:\n  - &p {id: a, text: b}\n  - {<<: *p, id: c}\n",
    "python tag": HEAD + "prompts: !!python/object/apply:os.system ['touch owned']\n",
    "new tag": HEAD + "prompts: !!python/object/new:subprocess.Popen [[touch, owned]]\n",
    "own tag": HEAD + "prompts: !include /etc/passwd\n",
    "deep lists": HEAD + "prompts: " + "[" * 100_000,
    "deep mappings": HEAD + "prompts: " + "{a: " * 100_000,
    "deep blocks": HEAD + "prompts:\n" + "- " * 100_000 + "\n",
    "many values": HEAD + "prompts: [" + "[]," * 1_200_000 + "]\n",
    "too large": HEAD + "#" * 5_000_001,
    "long key": HEAD + "? " + "k" * 1_000_000 + "\n: 1\n",
    "a key that moves the cursor": HEAD + TEXT + '"\\e[2J\\e]0;x": 1\n',
    "duplicate keys": HEAD + TEXT + "name: other\n",
    "duplicate nested": HEAD + "prompts: [{id: a, id: b, text: c}]\n",
    "two documents": HEAD + TEXT + "---\n" + HEAD + TEXT,
    "NUL": HEAD + "prompts: \0\n",
    "no text": "\xff\xfe\x00",
    "a huge count": HEAD + "prompts: [{id: a, text: b, count: 99999999999999999999}]\n",
    "a huge number": HEAD + TEXT + "count: " + "9" * 100_000 + "\n",
    "a huge budget": HEAD + TEXT + "limits: {budget: 1" + "0" * 5_000 + "}\n",
    "out of the folder": HEAD + TEXT + "output: {folder: out, file: '../../{{ id }}'}\n",
    "an absolute file": HEAD + TEXT + "output: {file: '/tmp/{{ id }}'}\n",
    "a catalog elsewhere": HEAD + "prompts: [{from: /etc/passwd, id: '{{ a }}', text: b}]\n",
    "a key in it": HEAD + TEXT + "x: sk-0123456789abcdefghijklmnop\n",
}  # fmt: skip
WORDS = {
    **dict.fromkeys(("aliases", "billion laughs", "merge keys"), "anchors (&) and aliases (*) are not taken"),
    **dict.fromkeys(("python tag", "new tag", "own tag"), "tags (!) are not taken"),
    **dict.fromkeys(("deep lists", "deep mappings", "deep blocks"), "nested deeper than 20 levels"),
    **dict.fromkeys(("duplicate keys", "duplicate nested"), "a second time"),
    **dict.fromkeys(("long key", "a key that moves the cursor"), "printable characters"),
    "many values": "250,000 values",
    "too large": "larger than 5 MB",
    "two documents": "a second document",
    "a key in it": "looks like an API key",
}
TEMPLATES = (
    *("{{ n.__class__.__mro__[1].__subclasses__() }}", "{{ ''['__class__'] }}", "{{ n | attr('__class__') }}"),
    *("{{ row.__class__ }}", "{{ row['__class__'] }}", "{{ self.__init__.__globals__ }}", "{{ range.__globals__ }}"),
    *("{{ cycler.__init__.__globals__.os.popen('touch owned') }}", "{{ lipsum.__globals__ }}", "{{ namespace() }}"),
    *("{{ '{0.__class__}'.format(n) }}", "{{ n.format_map(row) }}", "{{ '%s' % n }}", "{{ '%9999999d' | format(1) }}"),
    *("{{ 'a' * 50000000 }}", "{{ n * 50000000 }}", "{{ [n] * 50000000 }}", "{{ 9 ** 9 ** 9 }}", "{{ n.zfill(9999999) }}"),
    *("{{ n.ljust(50000000) }}", "{{ n | center(50000000) }}", "{{ range(50000000) | list }}", "{{ 1 << 99999999 }}"),
    *("{% for i in range(50000000) %}x{% endfor %}", "{% for i in range(999) %}{% for j in range(999) %}x{% endfor %}{% endfor %}"),
    *("{% include '/etc/passwd' %}", "{% import 'x' as y %}", "{% extends 'x' %}", "{% macro x() %}{{ x() }}{% endmacro %}"),
    *("{% set x = n %}", "{% for x in n recursive %}{{ loop(x) }}{% endfor %}", "{{ " + "(" * 5_000, "{{ " + "9" * 9_000 + " }}"),
    *("{{ " + "-" * 20_000 + "1 }}", "x" * 40_000, "{{ missing }}", "{{ n.split('').0.x }}", "{{ [1, 2] | join(n * 40000) }}"),
)  # fmt: skip


_MEASURED = """
import atexit, resource, time
from pathlib import Path
def told():
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else ["VmHWM: 0"]
    peak = next(line.split()[1] for line in lines if line.startswith("VmHWM"))
    print("MEASURED", time.process_time(), peak)
atexit.register(told)
from batchgen.cli.main import main
main()
"""


def measured(shop: Shop, *words: str) -> tuple[int, str, float, int]:
    """Exit code, what was said, processor seconds and the most memory in bytes, which is 0 where nobody can tell."""
    command = [sys.executable, "-c", _MEASURED, *words]
    done = subprocess.run(
        command, cwd=shop.folder, env=shop.env(), capture_output=True, text=True, timeout=60, check=False
    )
    said, _, figures = done.stdout.rpartition("MEASURED")
    seconds, peak = figures.split()
    return done.returncode, said, float(seconds), int(peak) * 1024


def test_manifest_that_is_a_bomb_is_refused_quickly_and_in_little_memory(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    for name, text in MANIFESTS.items():
        (tmp_path / f"{name}.yaml").write_bytes(text.encode("latin-1"))
    code, said, seconds, memory = measured(shop, "check", *(f"{name}.yaml" for name in MANIFESTS))
    assert code == 2
    for name in MANIFESTS:
        assert any(line.startswith(f"{name}.yaml") and WORDS.get(name, "") in line for line in said.splitlines()), name
        assert 1 <= sum(line.startswith(f"{name}.yaml") for line in said.splitlines()) < 10, (name, said)
    assert not [
        line for line in said.splitlines() if ".yaml: ok" in line or len(line) > 1_000 or not line.isprintable()
    ]
    assert seconds < len(MANIFESTS) / 2
    assert memory < 250_000_000
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".yaml"] * len(MANIFESTS)
    promise(14, f"{len(MANIFESTS)} hostile manifests refused")


def test_template_that_reaches_out_or_grows_is_refused(tmp_path: Path) -> None:
    """Each stands in a manifest of its own row, as a text, as a file and as a reference; all of them are told at once."""
    shop = Shop(tmp_path)
    shop.write("c.csv", "sku,n\na,b\n")
    lines = [f'  - {{from: c.csv, id: "{number}{{{{ sku }}}}", text: {json.dumps(each)}}}' for number, each in enumerate(TEMPLATES)]  # fmt: skip
    lines += [f'  - {{from: c.csv, id: "f{number}{{{{ sku }}}}", text: a, file: {json.dumps(each)}}}' for number, each in enumerate(TEMPLATES)]  # fmt: skip
    shop.write("job.yaml", HEAD + "prompts:\n" + "\n".join(lines) + "\n")
    code, said, seconds, memory = measured(shop, "check", "job.yaml", "--json")
    assert code == 2
    (found,) = json.loads(said)
    refused = {each["key"] for each in found["problems"]}
    wanted = {f"prompts.{number}.text" for number in range(len(TEMPLATES))}
    wanted |= {f"prompts.{number + len(TEMPLATES)}.file" for number in range(len(TEMPLATES))}
    assert wanted - refused == set()
    assert seconds < 5
    assert memory < 200_000_000
    assert not (tmp_path / "owned").exists()
    promise(14, f"{len(TEMPLATES)} hostile templates refused")


NAMES = (
    *(name for name in HOSTILE if name.isprintable() and name not in {"", ".", "..", "name ", " name"}),
    *("-rf", "--help", "ß", "straße", "茶" * 66, "👩‍🚀", "x" * 200, "a/b/c", "$(id)", "`id`", "${HOME}", "{size}", "%s", "~"),
    *("~root", "nul", "NUL.", "İ", "ı", "con.tar.gz", "a\\b", "..%2f..", "%2e%2e", "....//", "file://x", "a:b", "|id"),
    *("'", '"', ";ls", "&", "images.jsonl", "owner.json", "ﬁ", "é-é", "\u0430", "A\u030a", "١", "𝒂", "com1.png", "aux.c"),
)  # fmt: skip


def test_names_that_are_hostile_stay_below_the_output_folder_and_apart(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    shop = Shop(inside)
    known = {fold(unicodedata.normalize("NFC", name)): name for name in NAMES}
    rows = "".join(json.dumps({"sku": name}) + "\n" for name in known.values())
    shop.write("c.jsonl", rows)
    with gateway(shop):
        text = 'prompts:\n  - {from: c.jsonl, id: "{{ sku }}", text: a mug, file: "%s"}\nsizes: ["1:1@1K"]\n'
        for number, pattern in enumerate(("x/{{ sku }}-{{ size }}", "{{ sku }}/{{ sku }}")):
            name = shop.manifest(text % pattern + f"output: {{folder: out/{number}}}\n", name=f"{number}.yaml")
            (inside / name).write_text((inside / name).read_text().replace("name: job", f"name: job{number}"))
            shop.run("run", name, "--yes")
    files = [path for path in shop.images() if path.is_file()]
    assert len(files) == 2 * len(known)
    assert len(known) >= 40
    assert len({fold(str(path)) for path in files}) == len(files)
    shop.run("verify")
    assert [path.name for path in tmp_path.iterdir()] == ["inside"]
    ours = {"0.yaml", "1.yaml", "c.jsonl", "out", "simulator", "batchgen.db"}
    assert {path.name for path in inside.iterdir()} - {"batchgen.db-shm", "batchgen.db-wal"} <= ours
    for path in (path for path in (inside / "out").rglob("*") if ".batchgen" not in path.parts):
        assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", path.name)
        assert len(path.name.encode()) <= SEGMENT_BYTES + 20
    promise(14, f"{len(known)} hostile names in {len(files)} places, none outside")
