"""Whose spool it is. Two ledgers with one output folder would take each other's paid answers for their own."""

from __future__ import annotations

import json
import os
from pathlib import Path

from batchgen.domain.errors import ForeignOutput, StoreError
from batchgen.store.folder import Folder, make_durable, write_all
from batchgen.store.layout import SPOOL

_FILE = "owner.json"


def claim_spool(spool: Folder, output: Path, ledger: Path, ledger_id: str) -> None:
    """Write down that the spool belongs to a ledger, or make sure that it does.

    A ledger that has moved is known by its id; its new path is written down.

    Raises:
        ForeignOutput: it belongs to another one.
        StoreError: it does not say to whom it belongs.
        OSError: it cannot be read or written.
    """
    record = json.dumps({"ledger": os.fspath(ledger), "id": ledger_id}).encode()
    new = f"owner.{os.getpid()}.tmp"
    fd = spool.create_anew(new)
    try:
        write_all(fd, record)
        make_durable(fd)
    finally:
        os.close(fd)
    try:
        found = _read(spool) if spool.stat(_FILE) else _first(spool, new)
        if found is None:
            return
        if found["id"] != ledger_id:
            raise ForeignOutput(_whose(output, ledger, found["ledger"]))
        if found["ledger"] != os.fspath(ledger):
            spool.rename(new, _FILE)
            spool.sync()
    finally:
        spool.remove(new)


def is_owned(output: Path, ledger_id: str) -> bool:
    """Whether an output folder has a spool that belongs to this ledger."""
    try:
        found = json.loads((output / SPOOL / _FILE).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("id") == ledger_id


def _first(spool: Folder, new: str) -> dict[str, str] | None:
    """Claim a spool without an owner; what it says when somebody else was faster, else None."""
    try:
        spool.link(new, _FILE, spool)
    except FileExistsError:
        return _read(spool)
    except OSError:  # a file system without links; the ledger's lock still keeps out a second runner
        spool.rename(new, _FILE)
    spool.sync()
    return None


def _read(spool: Folder) -> dict[str, str]:
    try:
        found = json.loads(spool.read_bytes(_FILE))
        return {"ledger": str(found["ledger"]), "id": str(found["id"])}
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{spool.where(_FILE)} does not say which ledger the output belongs to; "
            "if it is this one's, delete that file and run again"
        ) from error


def _whose(output: Path, ledger: Path, theirs: str) -> str:
    if theirs != os.fspath(ledger):
        return f"{output} belongs to another ledger; run with --db {theirs}, or choose another output folder"
    return (
        f"{output} belongs to a ledger that was at {theirs} before this one; put that ledger back, or choose another "
        f"output folder, or delete {output / '.batchgen'} if what it may still hold is given up"
    )
