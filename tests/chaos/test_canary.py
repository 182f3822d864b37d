"""The key is nowhere: whatever a gateway does or says, and wherever one looks afterwards."""

from __future__ import annotations

import base64
import contextlib
import sqlite3
from pathlib import Path
from urllib.parse import quote

import pytest

from batchgen.domain.text import without
from batchgen.simulator.faults import Fault
from tests.chaos.echo_gateway import EchoGateway, echoing, marked
from tests.chaos.inside import inside
from tests.chaos.promises import promise
from tests.support.shop import Shop, gateway, wait_until

CANARY = "sk-canary+7Qw3/zX9v=Tr5mB8nK"
TOKEN = "account+token/31aF=c0ffee77"
_PIECE = 12  # so much of it in one place counts as the key
CASES = (
    *("plain", "bearer", "percent", "percent-all", "base64", "base64url", "hex", "split", "controls", "at-the-cut"),
    *("far", "long", "escaped", "headers", "type", "html-502", "refusal", "revised", "url", "url-gone"),
    *("url-redirect", "not-base64", "cut", "cut-key", "status-line", "not-http", "bad-header", "bad-chunk"),
    *("reason", "limited", "redirect", "fine"),
)
STOPPING = ("unauthorized", "body", "url-loop")  # after these no further call is made
LIMITS = "limits: {attempts: 1, unknown: 1, unknown_total: 999, budget: 50.00, concurrency: 16}\n"


def forms(secret: str) -> set[bytes]:
    """Every way in which a secret may be written down, whole or a good piece of it."""
    pieces = {secret[at : at + _PIECE] for at in range(len(secret) - _PIECE + 1)}
    coded = {quote(secret, safe="")[:20], quote(secret, safe="").lower()[:20], secret.encode().hex()[:20]}
    coded |= {
        "".join(f"%{ord(char):02X}" for char in secret)[:30],
        "".join(f"%{ord(char):02x}" for char in secret)[:30],
    }
    coded.add("".join(f"\\u{ord(char):04x}" for char in secret)[:36])
    for before in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            coded.add(encode(b"x" * before + secret.encode()).decode()[4:20])
    return {each.encode() for each in pieces | coded}


def hits(secret: str, data: bytes) -> list[bytes]:
    plain = data.replace("\u200b".encode(), b"").replace(b"\x07", b"")
    return [each for each in forms(secret) if each in data or each in plain]


def search(shop: Shop, *said: str, secret: str = CANARY) -> int:
    """Look into every file of a folder, every row of its ledgers, and what commands said; how many places it looked at."""
    places = {f"output {number}": text.encode() for number, text in enumerate(said)}
    for path in shop.folder.rglob("*"):
        if path.is_file():
            places[str(path)] = path.read_bytes() + str(path).encode()
        if path.suffix == ".db":
            with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
                places[f"rows of {path}"] = "\n".join(connection.iterdump()).encode()
    found = {place: hits(secret, data) for place, data in places.items()}
    assert {place: each for place, each in found.items() if each} == {}
    return len(places)


def job(shop: Shop, prompts: list[tuple[str, str]], more: str = LIMITS, route: str = "") -> str:
    written = "\n".join(f'  - {{id: "{name}", text: "a mug {text}"}}' for name, text in prompts)
    return shop.manifest(f'prompts:\n{written}\nsizes: ["1:1@1K"]\ntimeout: 2\n{more}', route=route)


def spoken(shop: Shop, *commands: tuple[str, ...]) -> list[str]:
    """What commands say, on both streams, however they end."""
    said = []
    for words in commands:
        if words[0] != "run":
            said.append(inside(shop, *words))
            continue
        done = shop.run(*words, code=None)
        assert "Traceback" not in done.stderr
        said.append(done.stdout + done.stderr)
    return said


LOOKS = (
    ("status", "job", "--json"),
    ("tasks", "job", "--json"),
    ("report", "job"),
    ("report", "job", "--json"),
    ("report", "job", "--format", "csv"),
    ("report", "job", "--format", "jsonl"),
    ("verify", "--json"),
)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    keys = {"SHOP_KEY": CANARY, "APIYI_ACCESS_TOKEN": TOKEN, "BATCHGEN_DEBUG": "1"}
    return Shop(tmp_path, environment=keys, pace=20)


@pytest.fixture
def echo(shop: Shop) -> EchoGateway:
    with echoing() as made:
        shop.base_url = made.base_url
        yield made


def test_key_is_nowhere_when_every_fault_of_the_simulator_happens(shop: Shop) -> None:
    stops = {Fault.UNAUTHORIZED, Fault.QUOTA}
    faults = [fault for fault in Fault if fault not in stops]
    with gateway(shop):
        name = job(shop, [(f"case-{fault}", f"[[sim:{fault},ok]]") for fault in Fault])
        ids = [word for fault in faults for word in ("--only", f"case-{fault}")]
        said = [shop.run("run", name, *ids, code=None)]
        said += [shop.run("run", name, "--json", "--only", f"case-{fault}", code=4) for fault in stops]
    assert len(shop.query("SELECT DISTINCT task_id FROM attempt")) == len(Fault)
    search(shop, *(each.stdout + each.stderr for each in said), *spoken(shop, *LOOKS))


def test_key_is_nowhere_when_a_gateway_says_it_in_every_place(shop: Shop, echo: EchoGateway) -> None:
    name = job(shop, [(case, f"[[echo:{case}]]") for case in (*CASES, *STOPPING)])
    ids = [word for case in CASES for word in ("--only", case)]
    said = spoken(shop, ("run", name, *ids), *(("run", name, "--json", "--only", case) for case in STOPPING))
    assert {key for (key,) in shop.query("SELECT p.key FROM attempt a JOIN task t ON t.id = a.task_id JOIN prompt p ON p.id = t.prompt_id")} == {*CASES, *STOPPING}  # fmt: skip
    assert "[key]" in "".join(said)
    assert [each for each in echo.heads if CANARY.encode() in each]
    said += spoken(shop, *LOOKS, *(("show", case) for case in ("escaped", "split", "url")))
    places = search(shop, *said)
    assert places > 20
    promise(13, f"said by a gateway in {len(CASES) + len(STOPPING)} ways, found in 0 of {places} places")
    check_downloads(echo)


def check_downloads(echo: EchoGateway) -> None:
    """Nothing followed the redirects to another port, and downloads carried no key and no cookie."""
    assert echo.stray == []
    downloads = [each.lower() for each in echo.heads if each.startswith(b"GET /img")]
    assert len(downloads) >= 4
    assert not [each for each in downloads if b"authorization" in each or b"cookie" in each or b"referer" in each]


MARKED = ("picture-text", "picture-packed", "picture-base64", "picture-utf16", "picture-behind", "url-marked")


def test_picture_that_says_the_key_is_kept_aside_and_never_delivered(shop: Shop, echo: EchoGateway) -> None:
    name = job(shop, [(case, f"[[echo:{case}]]") for case in (*MARKED, "fine", "two-pictures")])
    said = spoken(shop, ("run", name), *LOOKS, ("show", "url-marked"))
    assert shop.states() == {"completed": 2, "failed": len(MARKED)}
    assert shop.query("SELECT DISTINCT outcome, charge FROM attempt") == [
        ("damaged", "billed"),
        ("delivered", "billed"),
    ]
    assert all("holds the key" in reason for (reason,) in shop.query("SELECT reason FROM task WHERE state = 'failed'"))
    assert len(shop.images()) == 2
    quarantine = shop.folder / "out" / "job" / ".batchgen" / "quarantine"
    kept = list(quarantine.iterdir())
    assert len(kept) == len(MARKED) + 1, "with the first of two pictures"
    assert all("holds the key" in "".join(said) and path.name in "".join(said) for path in kept)
    assert quarantine.stat().st_mode & 0o077 == 0
    assert sum(CANARY.encode() in path.read_bytes() for path in kept) >= 3
    calls = len(echo.heads)
    spoken(shop, ("run", name))
    assert len(echo.heads) == calls, "not bought again without an order"
    for path in kept:
        path.unlink()
    search(shop, *said)
    promise(13, f"{len(MARKED)} pictures with the key in them, in line and as addresses: kept aside, 0 delivered")


def test_every_key_of_a_route_is_nowhere_when_a_gateway_says_the_others(shop: Shop, echo: EchoGateway) -> None:
    other = "sk-second+4Hj8/yW2u=Np6kC1dS"
    shop.environment["OTHER_KEY"] = echo.says = other
    route = f'{{use: apiyi/gpt-image-2-vip, base_url: "{echo.base_url}", keys: [OTHER_KEY, SHOP_KEY]}}'
    cases = ("plain", "headers", "refusal", "revised", "url", "picture-text", "url-marked", "fine", "escaped", "base64")
    name = job(shop, [(case, f"[[echo:{case}]]") for case in cases], route=route)
    said = spoken(shop, ("run", name, "--json"), *LOOKS)
    assert "[key]" in "".join(said)
    assert "holds the key" in "".join(said)
    assert [each for each in echo.heads if CANARY.encode() in each], "calls were made with the key that was not said"
    for path in (shop.folder / "out" / "job" / ".batchgen" / "quarantine").iterdir():
        path.unlink()
    search(shop, *said, secret=other)
    search(shop, *said)


def test_picture_of_a_batch_that_says_the_key_is_kept_aside(shop: Shop, echo: EchoGateway) -> None:
    echo.picture = base64.b64encode(marked("packed", CANARY)).decode()
    route = f'{{use: openai/gpt-image-2, endpoint: batch, base_url: "{shop.base_url}", key_env: SHOP_KEY}}'
    text = "prompts:\n  - {id: a, text: x}\nsizes: [1280x1280]\nquality: low\n"
    said = spoken(shop, ("run", shop.manifest(text + LIMITS, route=route)))
    assert shop.states() == {"failed": 1}
    assert shop.images() == []
    assert "holds the key" in "".join(said)
    assert len(list((shop.folder / "out" / "job" / ".batchgen" / "quarantine").iterdir())) == 1


def test_key_is_in_no_receipt_and_no_write_ahead_log_of_a_killed_run(shop: Shop, echo: EchoGateway) -> None:
    prompts = [(f"stall-{number}", "[[echo:stall]]") for number in range(3)]
    process = shop.start("run", job(shop, [*prompts, *((case, f"[[echo:{case}]]") for case in ("plain", "escaped"))]))
    wait_until(process, lambda: len([each for each in echo.heads if b"/img/stall" in each]) >= 3)
    process.kill()
    process.communicate()
    spool = [path for path in (shop.folder / "out" / "job" / ".batchgen").rglob("*") if path.is_file()]
    assert [path for path in spool if b"/img/stall" in path.read_bytes()], "no receipt was left"
    assert (shop.folder / "batchgen.db-wal").stat().st_size
    search(shop)


def test_key_is_nowhere_when_a_batch_says_it(shop: Shop, echo: EchoGateway) -> None:
    route = f'{{use: openai/gpt-image-2, endpoint: batch, base_url: "{shop.base_url}", key_env: SHOP_KEY}}'
    text = (
        "prompts:\n  - {id: a, text: x}\n  - {id: b, text: y}\n  - {id: c, text: z}\nsizes: [1280x1280]\nquality: low\n"
    )
    said = spoken(shop, ("run", shop.manifest(text + LIMITS, route=route)), *LOOKS[1:3])
    assert shop.query("SELECT state FROM task ORDER BY state")[0] == ("completed",)
    assert "[key]" in "".join(said)
    search(shop, *said)


def test_access_token_is_nowhere_when_the_log_says_it(shop: Shop, echo: EchoGateway) -> None:
    name = job(shop, [("lost", "[[echo:cut]]"), ("odd", "[[echo:not-base64]]"), ("fine", "")])
    said = spoken(shop, ("run", name), ("reconcile", "job"), ("reconcile", "job", "--json"), ("show", "lost"))
    (claims,) = shop.folder.rglob("claims-*")
    assert "[key]" in claims.read_text()
    search(shop, *said, secret=TOKEN)
    search(shop, *said)


def test_search_would_find_a_key(shop: Shop) -> None:
    """What the other tests stand on."""
    for each in (CANARY, quote(CANARY, safe=""), base64.b64encode(b"Bearer " + CANARY.encode()).decode(), CANARY[:13]):
        shop.write("note.txt", f"there {each} stands")
        with pytest.raises(AssertionError):
            search(shop)
        assert not hits(CANARY, without(CANARY, f"there {each}").encode())
