"""References and masks as a manifest names them: places, limits of the route, identity."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from batchgen.domain.errors import ManifestError
from batchgen.domain.inputs import NO_INPUTS, InputFile, InputImage, Inputs, InputUse
from batchgen.files import input_root
from batchgen.manifest.plan import ExpandedPlan, expand, unchanged
from batchgen.manifest.prompts.fingerprints import own_hash
from batchgen.manifest.prompts.input_places import read_place
from tests.support.manifest import HEAD, load, planned, problem, problems

WRITTEN = HEAD.replace("own/wide", "openai/gpt-image-2") + "prompts: [{{id: a, text: x, {}}}]\n"
CATALOG = (
    HEAD
    + 'prompts: [{from: p.csv, id: "{{ sku }}", text: "Photo", references: ["photos/{{ sku }}.jpg"{MORE}]{KEYS}}]\n'
)
URL = "https://cdn.example/a.jpg"


def catalog(more: str = "", keys: str = "", route: str = "own/wide") -> str:
    return CATALOG.replace("{MORE}", more).replace("{KEYS}", keys).replace("own/wide", route)


def files(folder: Path, *names: str, content: bytes = b"x") -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def looked(plan: ExpandedPlan, **content: str) -> dict[str, InputFile]:
    """As if all files had been looked at; `photos_a_jpg="…"` gives a content other than its name."""
    return {
        use.place: InputFile(
            use.place, 1, 2, content.get(use.place.replace("/", "_").replace(".", "_"), use.place), 4, 3
        )
        for use in plan.references()
    }


def taken(plan: ExpandedPlan, **content: str) -> ExpandedPlan:
    plan.take(looked(plan, **content), {})
    return plan


# --- places


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ("photos/a.jpg", "photos/a.jpg"),
        ("./photos//./a.jpg", "photos/a.jpg"),
        ("größe/ä b.jpg", "größe/ä b.jpg"),
        ("a..b/c...jpg", "a..b/c...jpg"),
        ("12:30.jpg", "12:30.jpg"),
        (URL, URL),
        ("HTTPS://cdn.example/a.jpg?sig=a%20b", "https://cdn.example/a.jpg?sig=a%20b"),
    ],
)
def test_place_has_one_form(written: str, place: str) -> None:
    assert read_place(written) == place


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("/etc/passwd", "is an absolute path"),
        ("C:/photos/a.jpg", "is an absolute path"),
        ("C:\\a.jpg", "has a backslash; write /"),
        ("photos\\a.jpg", "has a backslash; write /"),
        ("../a.jpg", "leads out of the manifest's folder"),
        ("photos/../../a.jpg", "leads out of the manifest's folder"),
        ("photos/..", "leads out of the manifest's folder"),
        ("~/a.jpg", "begins with ~"),
        ("~anna/a.jpg", "begins with ~"),
        (".", "is the manifest's folder"),
        ("a\0b.jpg", "holds a control character"),
        ("a\nb.jpg", "holds a control character"),
        ("x" * 5000, "5,000 characters"),
        ("data:image/png;base64,AAAA", "neither a file nor an https address"),
        ("file:///etc/passwd", "neither a file nor an https address"),
        ("file:a.jpg", "neither a file nor an https address"),
        ("s3://bucket/a.jpg", "neither a file nor an https address"),
        ("ftp://host/a.jpg", "neither a file nor an https address"),
        ("https:a.jpg", "neither a file nor an https address"),
        ("https://", "is not an address"),
        ("https:///a.jpg", "is not an address"),
        ("https://[x/a.jpg", "is not an address"),
        ("https://me:secret@cdn.example/a.jpg", "holds a user name or password"),
        ("https://cdn.example/a b.jpg", "holds a blank"),
    ],
)
def test_what_is_no_place_is_refused(written: str, why: str) -> None:
    with pytest.raises(ValueError) as caught:
        read_place(written)
    assert why in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_wrong_place_is_named_with_its_own_line_and_column(tmp_path: Path) -> None:
    files(tmp_path, "good.jpg")
    text = """
        version: 1
        name: test
        route: own/wide
        sizes: ["1:1@1K"]
        prompts:
          - id: a
            text: x
            references:
              - good.jpg
              - ../a.jpg
              - gone.jpg
              - /b.jpg
        """
    assert problems(tmp_path, text) == [
        "job.yaml:11:9: prompts.0.references.1: ../a.jpg leads out of the manifest's folder; put the file below it",
        "job.yaml:12:9: prompts.0.references.2: gone.jpg: there is no such file",
        "job.yaml:13:9: prompts.0.references.3: /b.jpg is an absolute path; put the file below the manifest's folder, "
        "and write its path there",
    ]


def test_row_with_an_empty_cell_names_row_and_column(tmp_path: Path) -> None:
    files(tmp_path, "a.jpg")
    text = HEAD + 'prompts: [{from: p.csv, id: "{{ sku }}", text: "Photo", references: ["{{ photo }}"]}]\n'
    found = problems(tmp_path, text, p_csv="sku,photo\nA,a.jpg\nB,\nC, \n")
    assert found == [
        "p.csv:3: prompts.0.references.0: comes to nothing: photo is empty in this row",
        "p.csv:4: prompts.0.references.0: comes to nothing: photo is empty in this row",
    ]


def test_missing_files_are_named_with_row_and_key_and_counted_when_many(tmp_path: Path) -> None:
    files(tmp_path, "photos/A0.jpg")
    rows = "sku\n" + "".join(f"A{number}\n" for number in range(30))
    found = problems(tmp_path, catalog(), p_csv=rows)
    assert found[0] == "p.csv:3: prompts.0.references.0: photos/A1.jpg: there is no such file"
    assert len(found) == 11
    assert "and 19 more" in found[-1]


def test_wrong_rows_and_missing_files_are_reported_together(tmp_path: Path) -> None:
    found = problems(tmp_path, catalog().replace("Photo", "{{ nothing }}"), p_csv="sku\nA\n")
    assert [line.split(":")[2].strip() for line in found] == ["prompts.0.references.0", "prompts.0.text"]


def test_missing_and_damaged_files_are_reported_together(tmp_path: Path) -> None:
    files(tmp_path, "photos/A.jpg")
    plan = expand(load(tmp_path, catalog(), p_csv="sku\nA\nB\n"), wait=True)
    assert [use.place for use in plan.references()] == ["photos/A.jpg"]
    with pytest.raises(ManifestError) as caught:
        plan.take({}, {"photos/A.jpg": "is damaged"})
    assert [problem.message for problem in caught.value.problems] == [
        "photos/A.jpg: is damaged",
        "photos/B.jpg: there is no such file",
    ]


def test_one_file_is_looked_for_once_however_many_rows_name_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files(tmp_path, "photos/logo.jpg")
    text = HEAD + 'prompts: [{from: p.csv, id: "{{ sku }}", text: "x{{ sku }}", references: ["photos/logo.jpg"]}]\n'
    found: list[str] = []
    real = os.lstat
    monkeypatch.setattr(input_root.os, "lstat", lambda path: found.append(str(path)) or real(path))
    plan = planned(tmp_path, text, p_csv="sku\n" + "".join(f"{number}\n" for number in range(500)))
    assert len([path for path in found if path.endswith("logo.jpg")]) == 1
    assert list(plan.references()) == [InputUse("photos/logo.jpg", frozenset({1}))]


def test_file_of_another_case_is_pointed_out(tmp_path: Path) -> None:
    files(tmp_path, "photos/A.JPG")
    found = problem(tmp_path, catalog(), p_csv="sku\nA\n")
    assert found.endswith("photos/A.jpg: there is no such file; there is A.JPG, and case counts")


def test_folders_and_pipes_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "photos/A.jpg").mkdir(parents=True)
    os.mkfifo(tmp_path / "photos/B.jpg")
    (tmp_path / "photos/C.jpg").symlink_to("C.jpg")
    found = problems(tmp_path, catalog(), p_csv="sku\nA\nB\nC\n")
    assert "is a folder, not a file" in found[0]
    assert "is not a regular file" in found[1]
    assert len(found) == 3


@pytest.mark.parametrize("how", ["file", "folder", "chain"])
def test_link_out_of_the_folder_is_refused_and_one_within_is_not(tmp_path: Path, how: str) -> None:
    job = tmp_path / "job"
    files(tmp_path, "job/photos/B.jpg", "job-2/secret/A.jpg")
    if how == "file":
        (job / "photos/A.jpg").symlink_to("../../job-2/secret/A.jpg")
    elif how == "folder":
        (job / "real").mkdir()
        (job / "photos").rename(job / "inner")
        (job / "photos").symlink_to(tmp_path / "job-2/secret")
    else:
        (job / "hop").symlink_to(tmp_path / "job-2/secret/A.jpg")
        (job / "photos/A.jpg").symlink_to("../hop")
    found = problem(job, catalog(), p_csv="sku\nA\n")
    assert "by a link that leads out of the manifest's folder" in found
    (job / "within").mkdir()
    files(job, "within/A.jpg")
    if how == "folder":
        (job / "photos").unlink()
        (job / "photos").symlink_to("within")
    else:
        (job / "photos/A.jpg").unlink()
        (job / "photos/A.jpg").symlink_to("../within/A.jpg")
    planned(job, catalog(), p_csv="sku\nA\n")


def test_manifest_in_a_linked_folder_is_no_way_out(tmp_path: Path) -> None:
    files(tmp_path, "real/photos/A.jpg")
    (tmp_path / "alias").symlink_to("real")
    (use,) = planned(tmp_path / "alias", catalog(), p_csv="sku\nA\n").references()
    assert use.place.endswith("photos/A.jpg")


# --- keys and routes


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ("references: photos/a.jpg", 'prompts.0.references: must be a list, for instance ["photos/mug.jpg"]'),
        ("references: []", "prompts.0.references: must not be empty"),
        ("references: ['']", "prompts.0.references.0: must not be empty"),
        (f"references: [{', '.join(['a.jpg'] * 17)}]", "prompts.0.references: must have at most 16 entries"),
        ("references: [a.jpg], mask: [b.png]", "prompts.0.mask: must be text"),
        ("reference: a.jpg", "unknown key (did you mean references?)"),
        ("image: a.jpg", "unknown key; did you mean references?"),
        ("mask: m.png", "prompts.0.mask: needs references"),
        ("references: ['{{ sku }}.jpg']", "holds a template, which only the rows of a catalog can fill in"),
    ],
)
def test_wrong_keys_are_one_sentence(tmp_path: Path, keys: str, why: str) -> None:
    files(tmp_path, "a.jpg")
    assert why in problem(tmp_path, WRITTEN.format(keys))


def test_route_limits_references_and_masks(tmp_path: Path) -> None:
    files(tmp_path, "a.jpg", "m.png")
    few = "{use: openai/gpt-image-2, references: {max_count: 2}}"
    text = WRITTEN.format("references: [a.jpg, a.jpg, a.jpg]").replace("openai/gpt-image-2", few)
    assert "takes 2 references at most, not 3" in problem(tmp_path, text)
    found = problem(
        tmp_path,
        WRITTEN.replace("openai/", "apiyi/")
        .replace("image-2", "image-2-vip")
        .format("references: [a.jpg], mask: m.png"),
    )
    assert found.startswith("job.yaml:5:")
    assert "prompts.0.mask: apiyi/gpt-image-2-vip takes no mask" in found


@pytest.mark.parametrize(
    ("route", "fetched"),
    [
        ("apiyi/gpt-image-2-vip", True),
        ("laozhang/gpt-image-2-vip", True),
        ("{use: apiyi/gpt-image-2-vip, endpoint: chat}", False),
        ("openai/gpt-image-2", False),
    ],
)
def test_addresses_are_fetched_where_the_route_takes_files_only(tmp_path: Path, route: str, *, fetched: bool) -> None:
    written = HEAD.replace("own/wide", route) + f"prompts: [{{id: a, text: x, references: ['{URL}']}}]\n"
    rows = 'prompts: [{from: p.csv, id: "{{ sku }}", text: "x", references: ["{{ photo }}"]}]\n'
    filled = HEAD.replace("own/wide", route) + rows
    csv = f"sku,photo\nA,{URL}\n"
    for text in (written, filled):
        plan = planned(tmp_path, text, p_csv=csv)
        assert [use.place for use in plan.references()] == ([URL] if fetched else [])
        plan.take({}, {})  # nobody has fetched it yet
        (before,) = plan.prompts()
        assert (before.inputs, list(plan.files())) == (Inputs((InputImage(URL),)), [])
        plan.take({URL: InputFile(URL, 1, 2, "f" * 64, 4, 3)} if fetched else {}, {})
        (after,) = plan.prompts()
        assert after.inputs == Inputs((InputImage(URL, "f" * 64, 4, 3) if fetched else InputImage(URL),))
        assert after.own == before.own  # an address is asked for as it is written


@pytest.mark.parametrize("route", ["apiyi/gpt-image-2-vip", "openai/gpt-image-2"])
def test_plain_http_is_fetched_only_where_it_is_allowed_and_sent_on_never(tmp_path: Path, route: str) -> None:
    head, url = HEAD.replace("own/wide", route), "http://img.example:8080/a.jpg"
    written = head + f"prompts: [{{id: a, text: x, references: ['{url}']}}]\n"
    rows = head + 'prompts: [{from: p.csv, id: "{{ sku }}", text: "x", references: ["{{ photo }}"]}]\n'
    csv, allowed = f"sku,photo\nA,{url}\n", 'images_from: ["http://img.example:8080"]\n'
    said, in_rows = problem(tmp_path, written), problem(tmp_path, rows, p_csv=csv)
    assert said.startswith("job.yaml:5:")
    assert in_rows.startswith("p.csv:2:")
    for each in (said, in_rows):
        assert ('images_from: ["http://img.example:8080"]' in each) == route.startswith("apiyi")
    if route.startswith("apiyi"):
        assert len(list(planned(tmp_path, rows + allowed, p_csv=csv).references())) == 1
    else:
        assert "is no https address" in problem(tmp_path, written + allowed)


# --- identity


def test_fallback_route_must_take_the_input_images(tmp_path: Path) -> None:
    text = HEAD.replace("own/wide", "openai/gpt-image-2") + "fallback: [laozhang/gpt-image-2-vip]\nprompts:\n"
    address = f"  - {{id: a, text: x, references: ['{URL}']}}\n"
    (all_of_them, *_) = problems(tmp_path, text + address)
    assert all_of_them.startswith("job.yaml:5:12: fallback.0: cannot take over anything: laozhang/gpt-image-2-vip")
    some = [str(each) for each in load(tmp_path, text + address + "  - {id: b, text: y}\n").warnings]
    assert any("fallback.0" in each and "takes no https addresses" in each for each in some)
    none = load(tmp_path, text + "  - {id: b, text: y}\n").warnings
    assert not any("addresses" in str(each) for each in none)


def owns(folder: Path, rows: str, **content: str) -> dict[str, int]:
    plan = planned(folder, catalog(), p_csv=rows)
    return {prompt.key: prompt.own for prompt in taken(plan, **content).prompts()}


def test_content_is_identity_and_the_name_is_not(tmp_path: Path) -> None:
    files(tmp_path, "photos/A.jpg", "photos/B.jpg", "new/B.jpg")
    before = owns(tmp_path, "sku\nA\nB\n")
    assert owns(tmp_path, "sku\nA\nB\n", photos_B_jpg="other") == {"A": before["A"], "B": before["B"]} | {
        "B": owns(tmp_path, "sku\nB\n", photos_B_jpg="other")["B"]
    }
    assert owns(tmp_path, "sku\nA\nB\n", photos_B_jpg="other")["B"] != before["B"]
    moved = planned(tmp_path, catalog().replace("photos/", "new/"), p_csv="sku\nB\n")
    (found,) = taken(moved, new_B_jpg="photos/B.jpg").prompts()
    assert found.own == before["B"]


def test_own_hash_tells_roles_order_and_number_apart() -> None:
    a, b, url = InputImage("x", "a" * 64), InputImage("y", "b" * 64), InputImage(URL)
    asked = [
        NO_INPUTS,
        Inputs((a,)),
        Inputs((b,)),
        Inputs((a, b)),
        Inputs((b, a)),
        Inputs((a, a)),
        Inputs((a,), b),
        Inputs((b,), a),
        Inputs((url,)),
        Inputs((a, url)),
    ]
    assert len({own_hash("text", "", each) for each in asked}) == len(asked)
    assert own_hash("text", "", Inputs((InputImage("elsewhere", "a" * 64),))) == own_hash("text", "", Inputs((a,)))


def test_own_hash_is_the_same_in_every_process() -> None:
    """Written down once: a change here means that everything delivered would be bought again."""
    assert own_hash("Ein Löwe", '{"quality":"low"}') == 5555471038680745521
    inputs = Inputs((InputImage("x", "a" * 64), InputImage(URL)), InputImage("m", "b" * 64))
    assert own_hash("Ein Löwe", "", inputs) == 6361370367729131667


def test_same_text_over_another_photo_is_no_repetition(tmp_path: Path) -> None:
    files(tmp_path, "photos/A.jpg", "photos/B.jpg", "photos/C.jpg")
    assert planned(tmp_path, catalog(), p_csv="sku\nA\nB\n").warnings == ()
    text = catalog().replace("photos/{{ sku }}", "photos/C")
    (warning,) = planned(tmp_path, text, p_csv="sku\nA\nB\n").warnings
    assert "asks for what another asks" in warning.message


# --- the plan


def test_plan_names_files_with_what_they_are_used_for(tmp_path: Path) -> None:
    files(tmp_path, "photos/A.jpg", "photos/B.jpg", "logo.png", "m.png")
    text = catalog(', "logo.png"', ', mask: "{{ mask }}"', "openai/gpt-image-2").replace("{{ mask }}", "m.png")
    text = text.rstrip()[:-1] + ", {id: c, text: y, references: [photos/A.jpg]}]\n"
    plan = planned(tmp_path, text, p_csv="sku\nA\nB\n")
    assert list(plan.references()) == [
        InputUse("photos/A.jpg", frozenset({1}), exact=True),
        InputUse("logo.png", frozenset({2})),
        InputUse("m.png", mask=True),
        InputUse("photos/B.jpg", exact=True),
    ]


def test_prompts_of_a_plan_nobody_looked_at_are_a_mistake_of_the_program(tmp_path: Path) -> None:
    files(tmp_path, "photos/A.jpg")
    plan = planned(tmp_path, catalog(), p_csv="sku\nA\n")
    with pytest.raises(RuntimeError):
        plan.prompts()
    with pytest.raises(RuntimeError):
        plan.files()
    taken(plan)
    (found,) = plan.prompts()
    assert found.inputs == Inputs((InputImage("photos/A.jpg", "photos/A.jpg", 4, 3),))
    assert list(plan.files()) == [InputFile("photos/A.jpg", 1, 2, "photos/A.jpg", 4, 3)]


def test_what_is_wrong_with_files_names_the_first_row_that_uses_them(tmp_path: Path) -> None:
    files(tmp_path, "photos/A.jpg", "photos/B.jpg", "m.png")
    plan = planned(tmp_path, catalog(keys=", mask: m.png", route="openai/gpt-image-2"), p_csv="sku\nA\nB\n")
    seen = looked(plan)
    seen["m.png"] = InputFile("m.png", 1, 2, "m", 400, 300)
    del seen["photos/B.jpg"]
    with pytest.raises(ManifestError) as caught:
        plan.take(seen, {"photos/B.jpg": "is a HEIC photo"})
    assert [str(each).removeprefix(f"{tmp_path}/") for each in caught.value.problems] == [
        "p.csv:2: prompts.0.mask: m.png has 400x300, but photos/A.jpg has 4x3; make them the same",
        "p.csv:3: prompts.0.references.0: photos/B.jpg: is a HEIC photo",
    ]


def test_files_are_unchanged_by_size_and_time_below_the_folder(tmp_path: Path) -> None:
    files(tmp_path, "job/a.jpg", "job/b.jpg", "c.jpg")
    job = tmp_path / "job"

    def seen(name: str) -> InputFile:
        found = (job / name).stat()
        return InputFile(name, found.st_size, found.st_mtime_ns, "", 1, 1)

    both = [seen("a.jpg"), seen("b.jpg")]
    assert unchanged(job, both)
    assert unchanged(job, [])
    assert not unchanged(job, [InputFile("gone.jpg", 1, 1, "", 1, 1)])
    os.utime(job / "b.jpg", ns=(5, 5))
    assert not unchanged(job, both)
    both = [seen("a.jpg"), seen("b.jpg")]
    (job / "b.jpg").write_bytes(b"longer")
    os.utime(job / "b.jpg", ns=(5, 5))
    assert not unchanged(job, both)
    (job / "c.jpg").symlink_to("../c.jpg")
    assert not unchanged(job, [seen("c.jpg")])


def test_timeout_that_is_short_for_many_references_is_doubtful(tmp_path: Path) -> None:
    text = "timeout: 450\n" + catalog(', "b.jpg", "c.jpg"{}', route="laozhang/gpt-image-2-vip")
    short = [str(each) for each in load(tmp_path, text.replace("{}", ', "d.jpg"'), p_csv="sku\nA\n").warnings]
    assert any("450 s is less than the 600 s that laozhang/gpt-image-2-vip may need" in each for each in short)
    enough = load(tmp_path, text.replace("{}", ""), p_csv="sku\nA\n").warnings
    assert not any("is less than" in str(each) for each in enough)
