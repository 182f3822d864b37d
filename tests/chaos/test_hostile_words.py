"""What strangers say, shown to people and written for programs: no escapes, no formulas, no readers but the owner."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import pty
import re
import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from batchgen.domain.errors import LogUnavailable, UsageError
from batchgen.gateway.call_log import LogQuery, LogReader
from batchgen.report.table_files import csv_lines
from tests.chaos.echo_gateway import EchoGateway, echoing
from tests.chaos.inside import inside
from tests.chaos.pictures import gzip_bomb
from tests.chaos.promises import promise
from tests.conftest import ManualClock
from tests.support.pace import no_longer_than
from tests.support.shop import Shop
from tests.support.sockets import raw_server

EVIL = "=1+1|\x1b[2J\x1b]0;owned\x07\u202eevil\u2066\x9b31m\u200e\U000e0041\x08\x7f"
CASES = ("plain", "bearer", "escaped", "body", "html-502", "refusal", "revised", "url-gone", "cut", "not-http", "type")
STOPPING = "body"  # a web page, after which no further call is made
OTHERS = [word for case in CASES if case != STOPPING for word in ("--only", case)]
_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]"
)
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
PROMPTS = "".join(f'  - {{id: "{case}", text: "a mug [[echo:{case}]]"}}\n' for case in CASES)
LIMITS = 'sizes: ["1:1@1K"]\ntimeout: 2\nlimits: {attempts: 1, unknown: 1, unknown_total: 99, budget: 5.00}\n'


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path, environment={"APIYI_ACCESS_TOKEN": "account-token", "TERM": "xterm-256color"})


@pytest.fixture
def echo(shop: Shop) -> EchoGateway:
    with echoing() as made:
        made.says = EVIL
        shop.base_url = made.base_url
        yield made


def test_words_of_a_gateway_reach_no_terminal_and_no_cell(shop: Shop, echo: EchoGateway) -> None:
    name = shop.manifest(f"prompts:\n{PROMPTS}{LIMITS}")
    looks = [("status", "job"), ("tasks", "job"), ("report", "job"), ("verify",), ("reconcile", "job")]
    looks += [("show", case) for case in CASES[:7]]
    looks += [("report", "job", "--format", kind) for kind in ("csv", "jsonl")]
    done = [shop.run("run", name, *OTHERS, code=4), shop.run("run", name, code=3)]
    said = [*(each.stdout + each.stderr for each in done), *(inside(shop, *words) for words in looks)]
    assert len([each for each in said if "evil" in each]) > 5
    for each in said:
        assert not [ascii(line) for line in each.splitlines() if _FORBIDDEN.search(line)]
    tables = [path for path in shop.folder.rglob("*") if path.suffix in {".csv", ".jsonl"} and "out" in path.parts]
    assert len(tables) >= 3
    for path in tables:
        text = path.read_text(encoding="utf-8")
        assert "\x1b" not in text
        rows = csv.reader(text.splitlines()) if path.suffix == ".csv" else []
        assert not [cell for row in rows for cell in row if cell.startswith(FORMULA)]
    promise(
        14,
        f"{len(CASES)} kinds of answers with escapes and formulas: 0 in {len(said)} outputs and {len(tables)} tables",
    )


def test_words_of_a_gateway_reach_no_live_view(shop: Shop, echo: EchoGateway) -> None:
    name = shop.manifest(f'prompts:\n  - {{id: a, text: "a mug [[echo:plain]]"}}\n{LIMITS}')
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(shop.folder)
        words = shop.command("run", name, "--yes")
        os.execve(words[0], words, shop.env())
    shown, end = b"", time.monotonic() + 40
    while time.monotonic() < end:
        try:
            piece = os.read(terminal, 1 << 16)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    os.close(terminal)
    os.waitpid(pid, 0)
    text = shown.decode("utf-8", "replace")
    assert "images/min" in text
    assert "evil" in text
    for escape in ("\x1b[2J", "\x1b]0;", "\u202e", "\x07", "\x9b", "\x08", "\u2066"):
        assert escape not in text, ascii(escape)


FORGED = f"{EVIL}\nFORGED: all is paid\r\u2028FORGED again"
LOOKS = (
    *(
        "status",
        "status job",
        "tasks job",
        "show 1",
        "show 2",
        "report job",
        "verify",
        "reconcile job",
        "plan job.yaml",
    ),
    *("retry job --only a", "retry job", "cancel job", "run job.yaml", "show nothing", "tasks nobody"),
)


def test_words_of_a_strangers_ledger_are_plain_lines(shop: Shop, echo: EchoGateway) -> None:
    """Whoever made the file can have put anything into it; what is for machines keeps it, in JSON's own escapes."""
    echo.says = "no"
    name = shop.manifest(f'prompts:\n  - {{id: a, text: "a mug [[echo:plain]]"}}\n  - {{id: b, text: b}}\n{LIMITS}')
    shop.run("run", name, code=None)
    poisoned = poison(shop.folder / "batchgen.db")
    assert {"attempt.detail", "attempt.settled_note", "task.reason", "prompt.key", "prompt.text"} <= poisoned
    for words in ("status", "tasks job", "show 1"):
        raw = shop.run(*words.split(), "--json").stdout
        assert not _FORBIDDEN.search(raw)
        assert any(FORGED in text for text in texts(json.loads(raw))), (words, raw)
    for words in LOOKS:
        done = shop.run(*words.split(), code=None)
        assert done.returncode != 1 or "run" in words, done.stderr
        for line in (done.stdout + done.stderr).split("\n"):
            assert not _FORBIDDEN.search(line), (words, ascii(line))
            assert not line.startswith("FORGED"), (words, line)
    promise(14, f"a stranger's ledger with escapes in {len(poisoned)} columns: 0 in {len(LOOKS)} outputs")


def texts(document: Any) -> list[str]:
    """Every text in a document."""
    if isinstance(document, str):
        return [document]
    values = document.values() if isinstance(document, dict) else document if isinstance(document, list) else []
    return [text for value in values for text in texts(value)]


WORDS = {
    "attempt": ("detail", "settled_note", "route", "provider", "model", "base_url", "size_asked", "size_sent"),
    "task": ("reason",),
    "prompt": ("key", "text"),
    "job": ("route", "model", "output", "manifest"),
}


def poison(path: Path) -> set[str]:
    """Add foreign words to what a ledger has in words, where its own rules let anything be written; which columns."""
    connection = sqlite3.connect(path, isolation_level=None)
    found = set()
    for table, columns in WORDS.items():
        for column in columns:
            with suppress(sqlite3.IntegrityError):
                connection.execute(f"UPDATE {table} SET {column} = {column} || ?", (FORGED,))
                found.add(f"{table}.{column}")
    connection.close()
    return found


IDS = ("=1+1", "+1", "-1", "@SUM(A1)", "＝1", '=cmd|"/c calc"!A0', "%0A=1", "'=1", "a,=1")


def test_ids_that_would_turn_or_move_a_line_are_refused(shop: Shop) -> None:
    bad = ("\u202egnp", "a\u2066b", "a\x1b[2J", "a\x9b2J", "a\x07", "a\nb", "a\u2028b", "a\u2069b", "a\u202db")
    shop.write("c.jsonl", "".join(json.dumps({"sku": each}) + "\n" for each in bad))
    text = f'prompts:\n  - {{from: c.jsonl, id: "{{{{ sku }}}}", text: a mug}}\n{LIMITS}'
    done = shop.run("check", shop.manifest(text, route="apiyi/gpt-image-2-vip"), code=2)
    told = done.stdout.splitlines()
    assert [line.split(": ")[0] for line in told] == [f"c.jsonl:{number}" for number in range(1, len(bad) + 1)]
    assert not [line for line in told if _FORBIDDEN.search(line)]


def test_ids_of_a_manifest_are_no_formulas(shop: Shop) -> None:
    shop.write("c.jsonl", "".join(json.dumps({"sku": each}) + "\n" for each in IDS))
    text = f'prompts:\n  - {{from: c.jsonl, id: "{{{{ sku }}}}", text: a mug}}\n{LIMITS}'
    name = shop.manifest(text, route="apiyi/gpt-image-2-vip")
    shop.run("run", name, "--rehearse", "--speed", "100000")
    inside(shop, "report", "job", "--rehearse", "--format", "csv")
    (table,) = (shop.folder / "rehearsal").rglob("*.csv")
    rows = list(csv.reader(table.read_text(encoding="utf-8").splitlines()))
    assert len(rows) == len(IDS) + 1
    assert not [cell for row in rows for cell in row if cell.startswith(FORMULA)]


@pytest.mark.parametrize("start", FORMULA)
def test_cell_never_begins_as_a_formula_and_keeps_its_row(start: str) -> None:
    text = "".join(csv_lines(("a", "b"), [(f"{start}1+1", f'x"\n{start}y')]))
    (_, row) = csv.reader(text.splitlines(keepends=True))
    assert row == [f"'{start}1+1", f'x"\n{start}y']


def test_files_are_for_their_owner_alone(shop: Shop, echo: EchoGateway) -> None:
    """Whatever the umask: ledger, spool, quarantine, index, images, exports, claims."""
    name = shop.manifest(f"prompts:\n{PROMPTS}{LIMITS}")
    before = os.umask(0)
    try:
        shop.run("run", name, *OTHERS, code=None)
        for kind in ("csv", "jsonl"):
            inside(shop, "report", "job", "--format", kind)
        inside(shop, "reconcile", "job")
    finally:
        os.umask(before)
    ours = [path for path in shop.folder.rglob("*") if path.name.startswith("batchgen.db") or "out" in path.parts]
    private = {path: path.stat().st_mode & 0o777 for path in ours if path.is_file() or ".batchgen" in path.parts}
    assert {path.suffix for path in private} >= {".db", ".csv", ".jsonl", ".png"}
    assert {path: oct(mode) for path, mode in private.items() if mode & 0o077} == {}
    assert (shop.folder / "out" / "job" / ".batchgen").stat().st_mode & 0o777 == 0o700
    promise(14, f"{len(private)} files and folders with modes 0600 and 0700")


def said_as_json(data: object) -> bytes:
    return json.dumps(data).encode()


ROW = {"created_at": 1_800_000_000, "quota": 15_000, "model_name": "m", "id": 1}
LOGS: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", ""),
    "no JSON": (b"<html>\x1b[2J</html>", ""),
    "deep": (b"[" * 200_000, ""),
    "deep objects": (b'{"data":' * 100_000, ""),
    "a list": (b"[1]", ""),
    "a refusal with escapes": (said_as_json({"success": False, "message": EVIL * 100}), ""),
    "rows that are no objects": (said_as_json({"success": True, "data": {"items": [1]}}), ""),
    "rows without a cost": (said_as_json({"success": True, "data": {"items": [{"type": 2, EVIL: 1}]}}), ""),
    "a negative cost": (said_as_json({"success": True, "data": {"items": [{**ROW, "quota": -1}]}}), ""),
    "an endless cost": (b'{"success": true, "data": {"items": [{"created_at": 1, "quota": 1e999, "model_name": "m"}]}}', ""),
    "a huge cost": (said_as_json({"success": True, "data": {"items": [{**ROW, "quota": 10**40}]}}), ""),
    "a number without end": (b'{"success": true, "data": ' + b"9" * 100_000 + b"}", ""),
    "rows without end": (said_as_json({"success": True, "data": {"items": [ROW] * 10, "total": 10**18}}), ""),
    "a bomb": (gzip_bomb(b"[", b" " * 1_000_000, 200), "Content-Encoding: gzip\r\n"),
    "broken gzip": (b"\x1f\x8b\x08\x00garbage", "Content-Encoding: gzip\r\n"),
    "too large": (b" " * (5 << 20), ""),
    "half a character": (b'{"success": false, "message": "\xff\xfe\\ud800"}', ""),
}  # fmt: skip


@pytest.mark.parametrize("case", LOGS)
async def test_log_of_a_hostile_gateway_is_one_clean_sentence(case: str) -> None:
    body, more = LOGS[case]
    clock = ManualClock()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{more}\r\n"
        writer.write(head.encode() + body)
        await writer.drain()

    async def rows(base: str) -> list[Any]:
        async with LogReader(clock) as reader:
            return await reader.rows(LogQuery(f"{base}/log", "account-token", ("m",), 0.0, 2e9))

    with no_longer_than(900):
        async with raw_server(serve) as base:
            reading = asyncio.create_task(rows(base))
            while not reading.done():
                await clock.advance(60)
                await asyncio.sleep(0.001)
            with pytest.raises((UsageError, LogUnavailable)) as caught:
                await reading
    said = str(caught.value)
    assert len(said) < 600
    assert not _FORBIDDEN.search(said)
    assert "\n" not in said
