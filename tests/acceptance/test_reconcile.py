"""`batchgen reconcile` against the gateway's own log: lost answers are settled, and the sums come out equal."""

from __future__ import annotations

import csv
import json
import sqlite3
import time
from pathlib import Path

import pytest

from batchgen.domain.clock import stamp
from batchgen.report.booked import noted_row
from tests.support.shop import Shop, gateway

TOKEN = "account-token-1b7c"
PROMPTS = """
prompts:
  - {id: good, text: a mug}
  - {id: dropped, text: "a mug [[sim:drop,ok]]"}
  - {id: hung, text: "a mug [[sim:hang]]"}
  - {id: cut, text: "a mug [[sim:cut,ok]]"}
  - {id: bad, text: a forbidden thing}
sizes: ["1:1@1K"]
timeout: 1
limits: {unknown: 1, attempts: 2, unknown_total: 99, budget: 5.00}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path, environment={"APIYI_ACCESS_TOKEN": TOKEN, "LAOZHANG_ACCESS_TOKEN": TOKEN})


def charged(shop: Shop) -> int:
    return sum(line.charged for line in shop.bill())


def route(shop: Shop, name: str) -> str:
    return f'{{use: {name}, base_url: "{shop.base_url}", key_env: SHOP_KEY}}'


@pytest.mark.parametrize("name", ["apiyi/gpt-image-2-vip", "laozhang/gpt-image-2-vip"])  # with request ids, and without
def test_lost_answers_are_settled_and_ledger_and_bill_are_equal(shop: Shop, name: str) -> None:
    with gateway(shop, route=name):
        shop.run("run", shop.manifest(PROMPTS, route=route(shop, name)), code=3)
        before = shop.query("SELECT billed, unknown FROM job")[0]
        assert before[0] < charged(shop) <= sum(before)

        dry = shop.run("reconcile", "job", "--dry-run").stdout
        assert "would be settled: lost answers that were charged" in dry
        assert shop.query("SELECT billed, unknown FROM job")[0] == before
        assert not list(shop.folder.rglob("claims-*"))

        said = shop.run("reconcile", "job").stdout
        assert "they agree" in said, said
        assert shop.query("SELECT billed, unknown FROM job")[0] == (charged(shop), 0)
        notes = [note for (note,) in shop.query("SELECT settled_note FROM attempt WHERE settled_note <> ''")]
        assert notes
        assert all(note.startswith("reconcile: row ") for note in notes)
        again = shop.json("reconcile", "job")
        assert again["agrees"]
        assert not again["accounts"][0]["verdicts"]["charged"]
        shop.run("verify")
    (claims,) = shop.folder.rglob("claims-job-*.csv")
    assert claims.stat().st_mode & 0o777 == 0o600
    rows = list(csv.DictReader(claims.read_text().splitlines()))
    asked = {"dropped", "hung", "cut"} | ({"bad"} if name.startswith("apiyi") else set())
    assert {row["id"] for row in rows} == asked
    assert {row["amount_usd"] for row in rows} == {"0.03"}
    assert TOKEN not in claims.read_text() + said


def test_lost_answer_that_was_never_charged_is_free_once_the_log_covers_its_time(shop: Shop) -> None:
    prompts = PROMPTS.replace("[[sim:drop,ok]]", "[[sim:502,ok]]").replace("[[sim:hang]]", "two")
    job = shop.manifest(prompts, route="apiyi/gpt-image-2-vip")
    shop.run("run", job, "--rehearse", code=3)
    said = shop.run("reconcile", "job", "--rehearse").stdout
    assert "settled: lost answers that were not charged" in said
    assert (
        "no charge in the log"
        in shop.query("SELECT settled_note FROM attempt WHERE charge = 'void'", "rehearsal/batchgen.db")[0][0]
    )
    report = shop.run("report", "job", "--rehearse").stdout
    assert "equal" in report
    assert "2 answers lost: 1 free by the gateway's log; 1 charged by the contract" in report


def test_it_is_too_early_to_call_a_fresh_lost_answer_free(shop: Shop) -> None:
    with gateway(shop):
        shop.run("run", shop.manifest(PROMPTS.replace("[[sim:drop,ok]]", "[[sim:502,ok]]")), code=3)
        said = shop.run("reconcile", "job", code=3).stdout
    assert "still unknown" in said
    assert "ask again after" in said
    assert shop.query("SELECT count(*) FROM attempt WHERE charge = 'unknown'")[0][0] == 1


def test_other_jobs_keep_their_rows_and_strangers_are_named(shop: Shop) -> None:
    small = 'prompts: [{id: mug, text: a mug}]\nsizes: ["1:1@1K"]\nlimits: {budget: 1.00}\n'
    with gateway(shop):
        shop.run("run", shop.manifest(small))
        other = shop.manifest(small.replace("a mug", "a cup"), name="other.yaml")
        (shop.folder / other).write_text((shop.folder / other).read_text().replace("name: job", "name: other"))
        shop.run("run", other)
        assert shop.json("reconcile", "job")["accounts"][0]["rows"] == 2
        shop.run("run", "job.yaml", "--db", "elsewhere.db", code=2)  # the folder is another ledger's
        stranger = shop.manifest(small + "output: {folder: away}\n", name="away.yaml")
        shop.run("run", stranger, "--db", "elsewhere.db")
        found = (
            shop.json("reconcile", "other", "--to", "claims")
            if False
            else json.loads(shop.run("reconcile", "job", "--json", code=3).stdout)
        )
    assert not found["agrees"]
    assert [row["amount_usd"] for row in found["accounts"][0]["unexpected"]] == ["0.03"]


def shift(shop: Shop, seconds: float) -> None:
    """Let all that was rehearsed so far be that long ago, in the books, in their notes and in the bill."""
    bill = shop.folder / "rehearsal" / "bill.jsonl"
    lines = [json.loads(line) for line in bill.read_text().splitlines()]
    bill.write_text("".join(json.dumps(line | {"time": line["time"] - seconds}) + "\n" for line in lines))
    connection = sqlite3.connect(shop.folder / "rehearsal" / "batchgen.db")
    with connection:
        times = ", ".join(f"{name} = {name} - {seconds}" for name in ("reserved_at", "sent_at", "finished_at"))
        connection.execute(f"UPDATE attempt SET {times}")
        for key, note in connection.execute("SELECT id, settled_note FROM attempt WHERE settled_note <> ''").fetchall():
            noted = noted_row(note)
            then = stamp(noted.time) if noted is not None else ""
            shifted = note.replace(then, stamp(noted.time - seconds)) if noted is not None else note
            connection.execute("UPDATE attempt SET settled_note = ? WHERE id = ?", (shifted, key))
    connection.close()


@pytest.mark.parametrize("gap", [130, 300])
@pytest.mark.parametrize("noted", [True, False])
def test_jobs_a_few_minutes_apart_do_not_take_each_others_rows(shop: Shop, gap: float, noted: bool) -> None:
    text = 'prompts:\n  - {id: a, text: "A %s [[sim:drop,ok]]"}\n  - {id: b, text: A %s bowl}\nsizes: ["1:1@2K"]\n'
    for name, thing in (("evening", "mug"), ("later", "jug")):
        file = shop.manifest(text % (thing, thing), name=f"{name}.yaml", route="apiyi/gpt-image-2-vip")
        path = shop.folder / file
        path.write_text(path.read_text().replace("name: job", f"name: {name}"))
        shop.run("run", file, "--rehearse")
        said = shop.run("reconcile", name, "--rehearse").stdout
        assert "3 calls, 3 rows; 2 agree" in said, said
        assert "1 settled: lost answers that were charged" in said, said
        assert "they agree" in said
        assert stamp(time.time() + 60) > said.partition(" to ")[2][:20]
        report = shop.run("report", name, "--rehearse").stdout
        assert "equal" in report
        assert "1 answers lost: 1 charged by the gateway's log, $0.03" in report
        assert "ask the gateway" not in report
        fates = shop.json("report", name, "--rehearse")["lost_fates"]
        assert fates == {"charged": 1, "free": 0, "billed": 0, "void": 0, "open": 0}
        assert "settled by reconcile: row " in shop.run("show", "a", "--job", name, "--rehearse").stdout
        shift(shop, gap)
        if not noted:
            connection = sqlite3.connect(shop.folder / "rehearsal" / "batchgen.db")
            with connection:
                connection.execute("UPDATE attempt SET settled_note = 'somebody' WHERE settled_note <> ''")
            connection.close()
    for name in ("evening", "later"):
        assert "they agree" in shop.run("reconcile", name, "--rehearse").stdout


def test_export_frees_only_while_it_lacks_nothing(shop: Shop) -> None:
    goods = "".join(f"  - {{id: good-{number}, text: a mug {number}}}\n" for number in range(10))
    text = f'prompts:\n  - {{id: lost, text: "a mug [[sim:502,ok]]"}}\n{goods}sizes: ["1:1@1K"]\n'
    shop.run("run", shop.manifest(text, route="apiyi/gpt-image-2-vip"), "--rehearse")
    shift(shop, 3600)
    bill = [line for line in shop.bill("rehearsal/bill.jsonl") if line.charged]
    around = [f"{stamp(time.time() - off)},another,9,z{off}" for off in (6000, 60)]
    rows = [f"{stamp(line.time)},{line.model},{line.charged / 1e6},{line.request_id}" for line in bill]
    assert len(rows) == 11
    words = ("reconcile", "job", "--rehearse", "--log", "export.csv")
    for kept, open_ones in ((rows[:5] + rows[6:], 1), (rows[:5], 1), (rows, 0)):
        shop.write("export.csv", "\n".join(["time,model,cost,request_id", *kept, *around]) + "\n")
        found = json.loads(shop.run(*words, "--dry-run", "--json", code=3 if open_ones else 0).stdout)["accounts"][0]
        assert found["verdicts"]["free"] == 1 - open_ones
        assert (found["charged"], found["lacking"]) == (11, 11 - len(kept))
        reasons = [each["reason"] for each in found["notable"] if each["verdict"] == "open"]
        sentence = f"the log lacks {11 - len(kept)} of 11 calls that were charged around it"
        assert reasons == [sentence] * open_ones
        said = shop.run(*words, "--dry-run", code=None).stdout
        assert (sentence in said) == bool(open_ones)


def test_export_is_as_good_as_the_log(shop: Shop) -> None:
    with gateway(shop):
        shop.run("run", shop.manifest(PROMPTS), code=3)
    lines = ["Created At;Model Name;Cost ($);Token Name"]
    lines += [f"{stamp(line.time)};{line.model};{line.charged / 1e6};k" for line in shop.bill() if line.charged]
    shop.write("export.csv", "\n".join(lines) + "\n")
    shop.run("reconcile", "job", "--log", "export.csv")
    assert shop.query("SELECT billed, unknown FROM job")[0] == (charged(shop), 0)
    assert "export.csv" in shop.query("SELECT settled_note FROM attempt WHERE settled_note <> ''")[0][0]


def test_log_of_somebody_else_frees_nothing(shop: Shop) -> None:
    with gateway(shop):
        shop.run("run", shop.manifest(PROMPTS), code=3)
    day = 86_400
    rows = [f"{stamp(line.time + off)},gpt-image-2-vip,1.5" for line in shop.bill() for off in (-day, day)]
    shop.write("export.csv", "\n".join(["time,model,cost", *rows]) + "\n")
    said = shop.run("reconcile", "job", "--log", "export.csv", code=3).stdout
    assert "another account" in said
    assert shop.query("SELECT count(*) FROM attempt WHERE charge = 'unknown'")[0][0] == 3


@pytest.mark.parametrize(
    ("words", "environment", "sentence"),
    [
        ((), {"APIYI_ACCESS_TOKEN": ""}, "APIYI_ACCESS_TOKEN is not set"),
        ((), {"APIYI_ACCESS_TOKEN": "sk-key"}, "access token, not a key"),
        (("--log", "none.csv"), {}, "none.csv"),
        (("--log", "bad.csv"), {}, "it has when, what, how much"),
        (("--log", "bill.jsonl"), {}, "bill.jsonl is JSON, but no page of OpenAI's costs; export the log as CSV"),
        (("--zone", "Berlin", "--log", "bad.csv"), {}, "+08:00"),
    ],
)
def test_what_it_needs_is_said_in_one_sentence(
    shop: Shop, words: tuple[str, ...], environment: dict[str, str], sentence: str
) -> None:
    shop.write("bad.csv", "when,what,how much\n1,2,3\n")
    shop.write("bill.jsonl", '{"time": 1, "route": "apiyi/gpt-image-2-vip"}\n')
    with gateway(shop):
        shop.run("run", shop.manifest('prompts: [{id: a, text: b}]\nsizes: ["1:1@1K"]\nlimits: {budget: 1.00}\n'))
        shop.environment |= environment
        failed = shop.run("reconcile", "job", *words, code=2)
    assert sentence in failed.stderr
    assert "Traceback" not in failed.stderr


def test_route_without_a_log_asks_for_an_export(shop: Shop) -> None:
    with gateway(shop, route="openai/gpt-image-2"):
        text = "prompts: [{id: a, text: b}]\nsizes: [1024x1024]\nquality: low\nlimits: {budget: 1.00}\n"
        shop.run("run", shop.manifest(text, route=route(shop, "openai/gpt-image-2")))
        assert "--log FILE" in shop.run("reconcile", "job", code=2).stderr


def test_token_of_the_vendor_goes_to_no_other_host(shop: Shop) -> None:
    with gateway(shop):
        job = shop.manifest('prompts: [{id: a, text: b}]\nsizes: ["1:1@1K"]\nlimits: {budget: 1.00}\n')
        shop.run("run", job)
    elsewhere = "https://gateway.invalid/v1"  # resolves nowhere, so that asking it would be said as such
    path = shop.folder / job
    path.write_text(path.read_text().replace(shop.base_url, elsewhere))
    connection = sqlite3.connect(shop.folder / "batchgen.db")
    with connection:
        connection.execute("UPDATE attempt SET base_url = ?", (elsewhere,))
    connection.close()
    said = shop.run("reconcile", "job", code=2).stderr
    assert f"has no log that can be asked at {elsewhere}" in said
    assert "--log FILE" in said


def test_costs_by_day_are_compared_with_the_ledger_and_settle_nothing(shop: Shop) -> None:
    name = "openai/gpt-image-2"
    small = 'prompts: [{id: mug, text: a mug}, {id: cup, text: a cup}]\nsizes: ["1:1@1K"]\nlimits: {budget: 5.00}\n'
    with gateway(shop, route=name):
        shop.run("run", shop.manifest(small, route=route(shop, name)))
    billed = charged(shop) / 1_000_000
    day = int(time.time()) // 86_400 * 86_400

    def costs(amount: float) -> Path:
        buckets = [
            {
                "object": "bucket",
                "start_time": first,
                "end_time": first + 86_400,
                "results": [{"amount": {"value": amount / 2, "currency": "usd"}, "line_item": "gpt-image-2, output"}]
                * 2
                if first == day
                else [],
            }
            for first in (day - 86_400, day)
        ]
        return shop.write("costs.json", json.dumps({"object": "page", "data": buckets, "has_more": False}))

    costs(billed)
    said = shop.run("reconcile", "job", "--log", "costs.json").stdout
    assert "by the costs in costs.json: sums for gpt-image-2, which settle no single call" in said
    assert "they agree" in said
    found = shop.json("reconcile", "job", "--log", "costs.json")
    assert found["accounts"] == []
    (span,) = found["bills"][0]["spans"]
    assert (span["calls"], span["verdict"]) == (2, "within")
    costs(2 * billed)
    assert "MORE than all calls" in shop.run("reconcile", "job", "--log", "costs.json", code=3).stdout
    costs(billed / 2)
    assert "LESS than what is booked" in shop.run("reconcile", "job", "--log", "costs.json", code=3).stdout
