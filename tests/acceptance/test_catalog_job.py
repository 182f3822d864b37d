"""The main job as a person runs it: buy, look, change a row, insert a row, change the whole job, prove it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from PIL import Image

from tests.support.shop import KEY, Shop, gateway

CATALOG = """
prompts:
  - from: products.csv
    id: "{{ sku }}"
    text: "Photo of {{ name }}"
sizes: ["1:1@1K", "16:9@1K"]
limits: {concurrency: 8, budget: 10.00}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_catalog_becomes_images_a_ledger_and_a_balanced_bill_and_changes_buy_only_what_changed(shop: Shop) -> None:
    with gateway(shop):
        shop.catalog(5)
        job = shop.manifest(CATALOG)

        shop.run("run", job)
        assert len(shop.images()) == 10
        for path in shop.images():
            with Image.open(path) as image:
                image.load()
                assert f"{image.width}x{image.height}" in path.name
        assert sum(line.charged for line in shop.bill()) == 300_000 == shop.query("SELECT billed FROM job")[0][0]

        again = shop.run("run", job)
        assert "0 calls" in again.stdout
        assert len(shop.bill()) == 10

        rows = (shop.folder / "products.csv").read_text().replace("thing 3", "thing three")
        shop.write("products.csv", rows)
        assert shop.json("plan", job)["changed"] == 2
        shop.run("run", job)
        assert len(shop.bill()) == 12
        assert len(list((shop.folder / "out/job/SKU-0003").iterdir())) == 4  # the old images stay, beside `-r2`

        head, rest = rows.split("\n", 1)
        shop.write("products.csv", f"{head}\nSKU-9999,new thing\n{rest}")
        shop.run("run", job)
        assert len(shop.bill()) == 14
        assert {path.parent.name for path in shop.images()} == {"SKU-9999"} | {f"SKU-{n:04d}" for n in range(1, 6)}

        shop.write("products.csv", f"{head}\n{rest}")
        plan = shop.json("plan", job)
        assert (plan["removed"], plan["calls"]) == (2, 0)
        shop.run("run", job)
        assert len(shop.bill()) == 14
        shop.run("verify")


def test_verify_finds_what_was_done_to_files_and_books(shop: Shop) -> None:
    with gateway(shop):
        shop.catalog(4)
        shop.run("run", shop.manifest(CATALOG))
    shop.run("verify")
    first, second, third, *_ = shop.images()
    first.unlink()
    second.write_bytes(second.read_bytes()[:-1])
    data = bytearray(third.read_bytes())
    data[len(data) // 2] ^= 1
    third.write_bytes(data)
    (third.parent / "stranger.png").write_bytes(b"x")
    found = shop.run("verify", code=3).stdout
    for name, what in ((first, "is gone"), (second, "on disk"), (third, "not those that were bought")):
        assert any(name.name in line and what in line for line in found.splitlines()), found
    assert "stranger.png: is not in the books" in found
    assert "4 findings" in found


def test_job_wide_change_buys_delivered_images_again_only_with_rebuy(shop: Shop) -> None:
    official = "{{use: openai/gpt-image-2, base_url: {url}, key_env: SHOP_KEY}}"
    prompts = "prompts: [{id: mug, text: a mug}]\nsizes: [1024x1024]\nlimits: {budget: 9.00}\n"
    with gateway(shop, route="openai/gpt-image-2"):
        route = official.replace("{{", "{").replace("}}", "}").replace("{url}", f'"{shop.base_url}"')
        shop.run("run", shop.manifest(prompts + "quality: low\n", route=route))
        job = shop.manifest(prompts + "quality: medium\n", route=route)
        plan = shop.json("plan", job)
        assert (plan["rebuy"], plan["calls"]) == (1, 0)
        shop.run("run", job, "--yes")
        assert len(shop.bill()) == 1
        shop.run("run", job, "--rebuy")
        assert len(shop.bill()) == 2
        assert [line.quality for line in shop.bill()] == ["low", "medium"]
        assert shop.query("SELECT sum(billed) FROM attempt")[0][0] == sum(line.charged for line in shop.bill())


def test_second_runner_is_refused_at_once_and_touches_nothing(shop: Shop) -> None:
    with gateway(shop, "latency=2"):
        shop.catalog(2)
        job = shop.manifest(CATALOG)
        first = shop.start("run", job)
        while not (shop.folder / "batchgen.db.holder").exists():
            assert first.poll() is None
        first.send_signal(signal.SIGSTOP)  # it must not end before the second has begun, however slow this machine is
        second = shop.run("run", job, code=4)
        first.send_signal(signal.SIGCONT)
        assert f"process {first.pid}" in second.stderr
        assert first.wait(60) == 0
        first.communicate()
        assert len(shop.bill()) == 4


def test_run_asks_where_money_is_at_stake_and_nobody_is_there(shop: Shop) -> None:
    shop.catalog(200)
    shop.base_url = "http://127.0.0.1:9/v1"
    job = shop.manifest(CATALOG.replace(", budget: 10.00", ""))
    refused = shop.run("run", job, code=2)
    assert "--yes" in refused.stderr
    assert "$36.00" in refused.stderr
    assert shop.query("SELECT count(*) FROM job") == [(0,)]


def test_run_says_what_check_warns_of_before_it_buys_and_not_again(shop: Shop) -> None:
    with gateway(shop):
        shop.write("products.csv", "sku,name\nA,4K mug\nB,4K mug\n")
        job = shop.manifest(CATALOG)
        warnings = [line for line in shop.run("check", job).stderr.splitlines() if line.endswith("(warning)")]
        assert len(warnings) == 3
        said = shop.run("run", job).stderr
        assert [line for line in said.splitlines() if line in warnings] == warnings
        assert said.index(warnings[-1]) < said.index("job: 4 new")
        shop.manifest(CATALOG + "# nothing has changed, although the rows are read again\n")
        assert "(warning)" not in shop.run("run", job).stderr


def test_more_than_half_of_the_rows_gone_asks(shop: Shop) -> None:
    with gateway(shop):
        shop.catalog(6)
        job = shop.manifest(CATALOG)
        shop.run("run", job)
        shop.catalog(2)
        refused = shop.run("run", job, code=2)
        assert "4 of the 6 prompts" in refused.stderr
        shop.run("run", job, "--yes")
        assert shop.query("SELECT sum(wanted) FROM task") == [(4,)]


def test_missing_key_is_one_sentence_and_nothing_is_called(shop: Shop) -> None:
    shop.catalog(1)
    job = shop.manifest(CATALOG, route="apiyi/gpt-image-2-vip")
    failed = shop.run("run", job, code=2)
    assert "APIYI_API_KEY" in failed.stderr
    assert not list(shop.folder.glob("batchgen.db*"))
    assert not (shop.folder / "out").exists()
    assert "Traceback" not in failed.stderr


def test_failed_and_parked_tasks_wait_for_retry_and_the_exit_code_says_so(shop: Shop) -> None:
    with gateway(shop):
        prompts = """
prompts:
  - {id: good, text: a mug}
  - {id: bad, text: a forbidden thing}
  - {id: gone, text: "a mug [[sim:drop,drop,ok]]"}
sizes: ["1:1@1K"]
limits: {unknown: 1, attempts: 3, budget: 5.00}
"""
        job = shop.manifest(prompts)
        done = shop.run("run", job, code=3)
        assert "batchgen retry job --failed" in done.stdout
        assert shop.states() == {"completed": 1, "failed": 1, "parked": 1}
        report = shop.run("report", "job").stdout
        for words in ("1 content refused, $0.03", "answers lost", "batchgen retry job --parked"):
            assert words in report, report
        shop.run("run", job, code=3)
        assert len(shop.bill()) == 4
        shop.run("retry", "job", "--parked")
        shop.run("run", job, code=3)
        assert shop.states() == {"completed": 2, "failed": 1}
        shown = shop.json("show", "gone")
        assert [attempt["charge"] for attempt in shown[0]["attempts"]] == ["unknown", "unknown", "billed"]


def test_cancel_stops_wanting_the_rest(shop: Shop) -> None:
    with gateway(shop):
        shop.catalog(4)
        job = shop.manifest(CATALOG)
        shop.run("run", job, "--limit", "3", code=4)
        assert len(shop.bill()) == 3
        shop.run("cancel", "job")
        assert "0 calls" in shop.run("run", job).stdout
        assert shop.states() == {"completed": 3, "cancelled": 5}


def test_key_is_in_no_file_and_no_output(shop: Shop) -> None:
    with gateway(shop, "p_500=0.2", "p_drop=0.1"):
        shop.catalog(10)
        said = shop.run("run", shop.manifest(CATALOG.replace("budget", "unknown_total: 99, budget")), code=None)
        said2 = shop.run("report", "job")
    assert KEY not in said.stdout + said.stderr + said2.stdout
    for path in shop.folder.rglob("*"):
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), path


def test_exports_have_a_row_per_task_and_no_formulas(shop: Shop) -> None:
    with gateway(shop):
        shop.write("products.csv", "sku,name\n=1+1,thing\nB,thing\n")
        shop.run("run", shop.manifest(CATALOG))
    shop.run("report", "job", "--format", "csv,jsonl")
    text = (shop.folder / "out/job/job.csv").read_text()
    assert text.count("\n") == 5
    assert '"\'=1+1"' in text
    assert len((shop.folder / "out/job/job.jsonl").read_text().splitlines()) == 4
    said = shop.json("report", "job", "--format", "csv", "--to", "tables")
    assert said["job"] == "job"
    assert [(each["format"], each["tasks"]) for each in said["tables"]] == [("csv", 4)]
    assert (shop.folder / said["tables"][0]["file"]).read_text() == text


def test_calls_of_a_route_without_a_price_are_never_shown_as_free(shop: Shop) -> None:
    with gateway(shop):
        route = f'{{use: apiyi/gpt-image-2-vip, base_url: "{shop.base_url}", key_env: SHOP_KEY, price: unknown}}'
        job = shop.manifest('prompts: [{id: mug, text: a mug}]\nsizes: ["1:1@1K"]\n', route=route)
        assert "an unknown amount" in shop.run("run", job, code=2).stderr
        assert "1 call of unknown price" in shop.run("run", job, "--yes").stdout
    assert shop.json("status", "job")["unpriced_calls"] == 1


def test_rehearsal_without_a_price_is_no_difference_and_hides_none(shop: Shop) -> None:
    text = 'prompts: [{id: a, text: a mug}, {id: b, text: "a cup [[sim:drop,ok]]"}]\nsizes: [1024x1024]\nquality: low\n'
    tool = "{use: openai/gpt-image-2, endpoint: responses, main_model: gpt-5.5}"
    said = shop.run("run", shop.manifest(text, route=tool), "--rehearse", "--yes").stdout
    assert "+ 3 calls of unknown price" in said
    assert said.rstrip().endswith("within what is of unknown price")
    small = 'prompts: [{id: a, text: a jug}]\nsizes: ["1:1@1K"]\n'
    other = shop.manifest(small, name="other.yaml", route="apiyi/gpt-image-2-vip")
    (shop.folder / other).write_text((shop.folder / other).read_text().replace("name: job", "name: other"))
    assert "THEY DIFFER" not in shop.run("run", other, "--rehearse", "--yes").stdout
    bill = shop.folder / "rehearsal" / "bill.jsonl"
    line = [line for line in bill.read_text().splitlines() if '"apiyi/gpt-image-2-vip"' in line][-1]
    with bill.open("a") as file:
        file.write(line + "\n")
    assert "THEY DIFFER" in shop.run("report", "other", "--rehearse").stdout


def test_next_command_of_a_rehearsal_is_a_rehearsal(shop: Shop) -> None:
    prompts = 'prompts: [{id: bad, text: a forbidden thing}]\nsizes: ["1:1@1K"]\nlimits: {budget: 1.00}\n'
    job = shop.manifest(prompts, route="apiyi/gpt-image-2-vip")
    said = shop.run("run", job, "--rehearse", code=3).stdout
    assert "batchgen retry job --failed --rehearse" in said
    assert "batchgen retry job --failed --rehearse" in shop.run("report", "job", "--rehearse").stdout
    retried = shop.run("retry", "job", "--rehearse")
    assert "job.yaml --rehearse" in retried.stderr
    assert not (shop.folder / "batchgen.db").exists()


def test_next_command_can_be_pasted_where_the_manifest_has_spaces(shop: Shop) -> None:
    (shop.folder / "my shop").mkdir()
    with gateway(shop):
        shop.catalog(2, "my shop/products.csv")
        job = shop.manifest(CATALOG, name="my shop/the job.yaml")
        said = shop.run("run", job, "--limit", "1", code=4)
        assert "batchgen run 'my shop/the job.yaml'" in said.stdout
        shop.run("cancel", "job")
        again = shop.run("retry", "job", "--cancelled").stderr
        assert f"next: batchgen run '{shop.folder}/my shop/the job.yaml'" in again


def test_only_knows_an_id_however_its_accents_are_composed(shop: Shop) -> None:
    composed, decomposed = "\u00fcn\u00efcode", "u\u0308ni\u0308code"
    with gateway(shop):
        shop.write("products.csv", f"sku,name\n{decomposed},thing\nother,thing two\n")
        job = shop.manifest(CATALOG)
        for number, typed in enumerate((decomposed, composed)):
            shop.run("run", job, "--only", typed, "--limit", "1", code=4)
            assert len(shop.bill()) == number + 1
        for words in (("tasks", "job", "--only", decomposed), ("show", f"{decomposed}/1:1@1K")):
            assert composed in shop.run(*words).stdout
        assert "2 tasks cancelled" in shop.run("cancel", "job", "--only", "other").stdout
        shop.run("cancel", "job", "--only", decomposed)
        shop.run("retry", "job", "--only", decomposed)


def test_images_in_another_folder_than_before_are_not_lost_in_silence(shop: Shop) -> None:
    with gateway(shop):
        shop.catalog(1)
        shop.run("run", shop.manifest(CATALOG))
        job = shop.manifest(CATALOG + "output: {folder: elsewhere}\n")
        refused = shop.run("run", job, code=2)
        assert "move that folder there" in refused.stderr
        (shop.folder / "out/job").rename(shop.folder / "elsewhere")
        assert "0 calls" in shop.run("run", job).stdout
        shop.run("verify")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("status", "nope"), "has no job named nope"),
        (("run", "job.yaml", "--only", "nope"), "has no prompt nope"),
        (("tasks", "job", "--only", "nope"), "has no prompt nope"),
        (("retry", "job", "--only", "nope"), "has no prompt nope"),
        (("cancel", "job", "--only", "SKU-0001", "--only", "nope"), "has no prompt nope"),
        (("run", "job.yaml", "--speed", "5"), "add --rehearse"),
        (("run", "job.yaml", "--rehearse", "--fault", "p_dropp=1"), "p_drop"),
        (("run", "missing.yaml"), "missing.yaml"),
        (("report", "job", "--format", "pdf"), "csv and jsonl"),
    ],
)
def test_wrong_command_is_one_sentence_and_exit_2(shop: Shop, words: tuple[str, ...], sentence: str) -> None:
    with gateway(shop):
        shop.catalog(1)
        shop.run("run", shop.manifest(CATALOG))
        failed = shop.run(*words, code=2)
    assert sentence in failed.stderr
    assert "Traceback" not in failed.stderr


def test_gateway_of_ones_own_is_a_contract_file_of_a_few_lines(shop: Shop) -> None:
    shop.write(
        "mine.yaml",
        """provider: mine
checked: 2026-11-21
source: my own notes
base_url: https://images.example/v1
key_env: SHOP_KEY
contracts:
  picture-1:
    price: 0.02
    sizes: {listed: ["1280x1280"]}
""",
    )
    shop.environment["BATCHGEN_CONTRACTS"] = str(shop.folder / "mine.yaml")
    assert "mine/picture-1" in shop.run("routes").stdout
    job = shop.manifest(
        'prompts: [{id: mug, text: a mug}]\nsizes: ["1:1@1K"]\nlimits: {budget: 1.00}\n', route="mine/picture-1"
    )
    assert "$0.02 in this run" in shop.run("run", job, "--rehearse").stdout
