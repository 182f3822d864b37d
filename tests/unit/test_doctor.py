"""`doctor` holds what is here against what is safe."""

from __future__ import annotations

import importlib.metadata
import json
import re
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner

from batchgen.app import finding, machine
from batchgen.cli.doctor import doctor
from batchgen.store.spool import descriptors
from tests.support.proxies import Certificate


def diagnosed(code: int, *words: str) -> dict[str, dict[str, object]]:
    done = CliRunner().invoke(doctor, ["--json", *words])
    assert done.exit_code == code, done.output
    return {each["what"]: each for each in json.loads(done.output)}


def test_everything_is_looked_at_and_versions_stand_beside_their_floors() -> None:
    found = diagnosed(0)
    machine = ["Python", "SQLite", "aiohttp", "Pillow", "disk", "open files", "clock", "locale"]
    assert list(found) == [*machine, "proxy", "certificates", "keys"]
    for name, floor in (("Python", "3.11"), ("SQLite", "3.35"), ("aiohttp", "3.14.4"), ("Pillow", "12.1")):
        assert str(found[name]["value"]).endswith(f", at least {floor}")


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [("aiohttp", "3.14.3", "3.14.4"), ("aiohttp", "3.9.5", "3.15.0rc1"), ("Pillow", "12.0.9", "12.1.0+local.9")],
)
def test_old_library_is_told(name: str, old: str, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version
    for version, code in ((old, 3), (new, 0)):
        monkeypatch.setattr(importlib.metadata, "version", lambda asked, v=version: v if asked == name else real(asked))
        found = diagnosed(code)[name]
        assert found["ok"] is (code == 0)
        assert bool(found["advice"]) is (code == 3)


def test_shared_write_ahead_log_is_warned_of_before_sqlite_has_it_fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 51, 2))
    assert "WAL" in str(diagnosed(0)["SQLite"]["advice"])
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 51, 3))
    assert diagnosed(0)["SQLite"]["advice"] == ""


def test_missing_library_or_wrong_clock_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", gone)
    monkeypatch.setattr("time.time", lambda: 1_000_000_000.0)
    found = diagnosed(3)
    assert [name for name, each in found.items() if not each["ok"]] == ["aiohttp", "pillow", "clock"]
    assert "set it first" in str(found["clock"]["advice"])


def test_env_file_that_is_no_text_is_told_beside_all_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("APIYI_API_KEY=sk-canary-5f2d8c", encoding="utf-16")
    found = diagnosed(3)
    assert [name for name, each in found.items() if not each["ok"]] == ["keys"]
    assert "save the file as UTF-8" in str(found["keys"]["value"])


def test_key_is_named_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APIYI_API_KEY", "sk-canary-5f2d8c")
    found = diagnosed(0)
    assert "APIYI_API_KEY" in str(found["keys"]["value"])
    assert "canary" not in str(found)


def test_keys_of_a_manifest_are_told_by_their_fingerprints_and_equal_ones_complained_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = tmp_path / "j.yaml"
    route = "{use: apiyi/gpt-image-2-vip, base_url: 'http://127.0.0.1:1/v1', keys: [ONE, TWO, THREE]}"
    text = f"version: 1\nname: j\nroute: {route}\nsizes: ['1:1@1K']\nprompts: [{{id: a, text: b}}]\n"
    manifest.write_text(text, encoding="utf-8")
    monkeypatch.setenv("ONE", "sk-canary-5f2d8c")
    monkeypatch.setenv("TWO", "sk-canary-other")
    found = diagnosed(0, str(manifest))["keys of apiyi/gpt-image-2-vip"]
    assert re.fullmatch(r"ONE [0-9a-f]{8}, TWO [0-9a-f]{8}, THREE \(not set\)", str(found["value"]))
    monkeypatch.setenv("THREE", "sk-canary-5f2d8c")
    found = diagnosed(3, str(manifest))["keys of apiyi/gpt-image-2-vip"]
    assert "ONE and THREE hold the same key" in str(found["advice"])
    assert "canary" not in str(found)


def test_open_files_are_told_as_calls_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptors, "raise_limit", lambda: None)
    found = {}
    for limit in (256, 4096, 64):
        monkeypatch.setattr(descriptors, "_limit", lambda limit=limit: limit)
        monkeypatch.setattr(descriptors, "_open_now", lambda: 12)
        found[limit] = finding.safely(machine._open_files)
    assert (found[4096].ok, found[4096].value) == (True, "enough for 500 calls in flight")
    assert found[256].ok
    assert "so no more than 38 calls are in flight instead of 500" in found[256].value
    assert not found[64].ok
    assert "too few for a single call" in found[64].value


def test_proxy_is_shown_without_user_and_password_and_what_it_leaves_unchecked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert diagnosed(0)["proxy"]["value"] == "none that the environment names"
    monkeypatch.setenv("https_proxy", "http://clerk:pr0xy-canary@10.1.2.3:3128")
    monkeypatch.setenv("NO_PROXY", "intra.example")
    found = diagnosed(0)
    assert found["proxy"]["value"] == "http://10.1.2.3:3128 (HTTPS_PROXY); none for intra.example"
    assert "keep image addresses out of its own network" in str(found["proxy"]["advice"])
    assert "clerk" not in str(found)
    assert "canary" not in str(found)
    monkeypatch.setenv("ALL_PROXY", "socks5://clerk:pr0xy-canary@10.1.2.3:1080")
    found = diagnosed(3)
    assert "ALL_PROXY is a SOCKS proxy" in str(found["proxy"]["advice"])
    assert "canary" not in str(found)


def test_certificates_that_are_not_there_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ours.pem"))
    found = diagnosed(3)["certificates"]
    assert str(found["value"]).endswith("ours.pem is not there")
    assert "SSL_CERT_FILE" in str(found["advice"])
    made = Certificate.made(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.file))
    assert diagnosed(0)["certificates"]["value"] == f"1 trusted, of {made.file} (SSL_CERT_FILE)"
    made.file.write_text("")
    assert "no gateway can prove who it is" in str(diagnosed(3)["certificates"]["advice"])


def test_way_to_each_gateway_of_a_manifest_is_looked_at_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = "{use: apiyi/gpt-image-2-vip, base_url: 'https://%s/v1', key_env: K%s}"
    own = base.replace("-vip", "-all") % ("b.invalid", ", proxy: 'http://${U}:${P}@localhost:3128'")
    text = f"version: 1\nname: j\nroute: {base % ('a.invalid', '')}\nfallback: [{own}]\n"
    manifest = tmp_path / "j.yaml"
    manifest.write_text(text + "sizes: ['1:1@1K']\nprompts: [{id: a, text: b}]\n", encoding="utf-8")
    found = diagnosed(3, str(manifest))
    assert found["way to a.invalid"]["value"] == "directly; the name a.invalid is not found"
    assert "check base_url" in str(found["way to a.invalid"]["advice"])
    assert "U and P, which `proxy:`" in str(found["way to b.invalid"]["advice"])
    (tmp_path / ".env").write_text("U=clerk\nP=pr0xy-canary\n", encoding="utf-8")
    (tmp_path / ".env").chmod(0o600)
    monkeypatch.setenv("HTTPS_PROXY", "http://nowhere.invalid:3128")
    found = diagnosed(3, str(manifest))
    assert found["way to b.invalid"]["value"] == "through http://localhost:3128 (`proxy:`)"
    assert found["way to b.invalid"]["ok"]
    assert "the name nowhere.invalid is not found" in str(found["way to a.invalid"]["value"])
    assert "canary" not in str(found)
