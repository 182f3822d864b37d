"""Whose spool it is, and who is in it. Two ledgers or two processes would take each other's answers for their own."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

from batchgen.domain.clock import stamp
from batchgen.domain.errors import ForeignOutput, StoreError
from batchgen.store.folder import Folder, NotAFile, make_durable, write_all
from batchgen.store.layout import SPOOL
from batchgen.store.quarantine import set_aside

_FILE = "owner.json"
_NEW = "owner.tmp"
_LOCK = "lock"  # where a folder itself cannot be locked


def lock_output(root: Folder, spool: Folder) -> None:
    """Keep every other process out of an output folder and its spool until these are closed, by whatever path.

    Raises:
        StoreError: another process is in one of them.
        OSError: they cannot be locked.
    """
    if root.lock() and spool.lock(_LOCK):
        return
    raise StoreError(
        f"the output folder {root.path} is in use by {_user(spool)}; wait for it to end, or choose another folder"
    )


def claim_spool(
    spool: Folder,
    output: Path,
    ledger: Path,
    ledger_id: str,
    now: float,
    *,
    known: bool = False,
    take_over: bool = False,
) -> list[str]:
    """Write down that a locked spool belongs to a ledger and is used by this process, or make sure that it may.

    A ledger that has moved is known by its id; its new path is written down. `now` is seconds since the epoch. Where
    the ledger itself says that the output is its own (`known`), a file that does not say to whom it belongs is set
    aside, and a sentence says so. With `take_over` the spool is also taken from a ledger that is gone.

    Raises:
        ForeignOutput: it belongs to another one.
        StoreError: it does not say to whom it belongs.
        OSError: it cannot be read or written.
    """
    notes: list[str] = []
    if known and spool.stat(_FILE) and not _is_readable(spool):
        notes.append(f"{spool.where(_FILE)} could not be used and was set aside: {set_aside(spool, _FILE)}")
    if spool.stat(_FILE):
        found = _read(spool)
        if found["id"] != ledger_id and not (take_over and is_gone(Path(found["ledger"]), ledger)):
            raise ForeignOutput(_whose(output, ledger, found["ledger"]))
    user = {"process": os.getpid(), "host": socket.gethostname(), "since": stamp(now)}
    fd = spool.create_anew(_NEW)
    try:
        write_all(fd, json.dumps({"ledger": os.fspath(ledger), "id": ledger_id, **user}).encode())
        make_durable(fd)
    finally:
        os.close(fd)
    spool.rename(_NEW, _FILE)
    spool.sync()
    return notes


def owner_of(output: Path) -> tuple[Path, str] | None:
    """Return where the ledger was that last used an output folder, and its id; None when the folder does not say."""
    try:
        found = json.loads((output / SPOOL / _FILE).read_bytes())
        return Path(str(found["ledger"])), str(found["id"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def check_owner(output: Path, ledger: Path, ledger_id: str) -> None:
    """Make sure that an output folder may be taken over; nothing is written.

    Raises:
        ForeignOutput: it belongs to another ledger that is there.
    """
    owner = owner_of(output)
    if owner is not None and owner[1] != ledger_id and not is_gone(owner[0], ledger):
        raise ForeignOutput(_whose(output, ledger, os.fspath(owner[0])))


def is_gone(theirs: Path, ledger: Path) -> bool:
    """Tell whether a ledger is not there any more, or another one lies in its place."""
    try:
        return not os.path.lexists(theirs) or theirs.samefile(ledger)
    except (OSError, ValueError):
        return theirs == ledger


def is_away(output: Path) -> bool:
    """Tell whether an output folder that was used before says no more whose it is, as without its drive.

    An empty spool is one that somebody has made on purpose.
    """
    try:
        names = [path.name for path in (output / SPOOL).iterdir()]
    except PermissionError:  # it is there; whoever opens it says what is wrong
        return False
    except OSError:
        return True
    return bool(names) and _FILE not in names


def _is_readable(spool: Folder) -> bool:
    try:
        _read(spool)
    except StoreError:
        return False
    return True


def _read(spool: Folder) -> dict[str, str]:
    try:
        found = json.loads(spool.read_bytes(_FILE))
        return {"ledger": str(found["ledger"]), "id": str(found["id"])}
    except (ValueError, KeyError, TypeError, RecursionError, NotAFile) as error:
        raise StoreError(
            f"{spool.where(_FILE)} does not say which ledger the output belongs to; "
            "if it is this one's, delete that file and run again"
        ) from error


def _user(spool: Folder) -> str:
    """Return the process that has the spool, as it wrote down itself."""
    try:
        found = json.loads(spool.read_bytes(_FILE))
        process = f"process {found['process']} on {found['host']} since {found['since']}"
        return f"{process}, with the ledger {found['ledger']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process, whose note is gone"


def _whose(output: Path, ledger: Path, theirs: str) -> str:
    if not is_gone(Path(theirs), ledger):
        return f"{output} belongs to another ledger; run with --db {theirs}, or choose another output folder"
    return (
        f"{output} belongs to a ledger that was at {theirs} and is gone; put that ledger back, or have this one take "
        f"over what the folder tells: batchgen rebuild JOB --from {output}"
    )
