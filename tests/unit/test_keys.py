"""Keys out of `.env` files as people save them."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchgen.app.keyring import KeyRing
from batchgen.domain.errors import UsageError

TEXT = "# Schl\u00fcssel\nENV_FILE_KEY=sk-canary-5f2d8c\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_key_is_found(tmp_path: Path, encoding: str) -> None:
    (tmp_path / ".env").write_text(TEXT.partition("\n")[2], encoding=encoding)
    assert KeyRing.of(tmp_path).get("ENV_FILE_KEY") == "sk-canary-5f2d8c"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "latin-1"])
def test_file_in_another_encoding_is_named_and_nothing_of_it_is_shown(tmp_path: Path, encoding: str) -> None:
    (tmp_path / ".env").write_text(TEXT, encoding=encoding)
    with pytest.raises(UsageError) as caught:
        KeyRing.of(tmp_path)
    assert str(caught.value) == f"{tmp_path / '.env'}: not UTF-8 text; save the file as UTF-8"


def test_utf_16_without_a_mark_is_no_key_that_is_missing(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes("ENV_FILE_KEY=sk-canary-5f2d8c\n".encode("utf-16-le"))
    with pytest.raises(UsageError, match="save the file as UTF-8"):
        KeyRing.of(tmp_path)


def test_file_that_cannot_be_read_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(_path: Path, **_given: object) -> str:
        raise PermissionError(13, "Permission denied")

    (tmp_path / ".env").write_text(TEXT, encoding="utf-8")
    monkeypatch.setattr(Path, "read_text", locked)
    with pytest.raises(UsageError, match=r"\.env: cannot be read: Permission denied"):
        KeyRing.of(tmp_path)


def test_keys_that_are_the_same_are_refused_by_both_names_and_neither_is_shown() -> None:
    keys = KeyRing({"ONE": "sk-canary-5f2d8c", "TWO": "sk-other", "THREE": " sk-canary-5f2d8c "})
    assert len(set(keys.fingerprints(["ONE", "TWO"]))) == 2
    with pytest.raises(UsageError) as caught:
        keys.fingerprints(["ONE", "TWO", "THREE"])
    assert str(caught.value).startswith("ONE and THREE hold the same key")
    assert "canary" not in str(caught.value)
