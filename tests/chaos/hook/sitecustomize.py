"""Faults inside a child process, put there by `CHAOS_HOOK`, and `PYTHONPATH` or a fork; the product knows nothing of it.

`kill:N` ends the process, as the kernel would, before its N-th write-type call; `kill:NAME=N` counts only those of a
name. `signal:NAME=N` sends it that signal then. `fail:N` and `fail:N+` have the N-th
`os.fsync`, or all from there on, report an I/O error. `trace:FILE` writes every such call down, and what goes to a
socket. `clock:FILE` moves the wall clock by the seconds in that file, which may change at any time. `patience:SHARE`
has it wait for a database that is locked for that share of the time only.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

_FILE_CALLS = ("write", "fsync", "fdatasync", "rename", "replace", "link", "unlink", "mkdir")
_lock = threading.Lock()
_real = {name: getattr(os, name) for name in _FILE_CALLS}
_connect = sqlite3.connect
_time = time.time


def _around(before: Callable[[str, tuple[Any, ...]], None], after: Callable[[str, tuple[Any, ...]], None]) -> None:
    """Have every write-type call, and every commit of the ledger, pass through two functions."""

    def wrap(name: str) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            before(name, args)
            result = _real[name](*args, **kwargs)
            after(name, args)
            return result

        return called

    for name in _FILE_CALLS:
        wrapped = wrap(name)
        for able in (os.supports_dir_fd, os.supports_follow_symlinks):
            if _real[name] in able:
                able.add(wrapped)
        setattr(os, name, wrapped)

    class Watched(sqlite3.Connection):
        def commit(self) -> None:
            changed = self.in_transaction
            if changed:
                before("commit", ())
            super().commit()
            if changed:
                after("commit", (self,))

    sqlite3.connect = lambda *args, **kwargs: _connect(*args, **{"factory": Watched, **kwargs})  # type: ignore[assignment]


def _nothing(_name: str, _args: tuple[Any, ...]) -> None:
    return


def _kill_at(number: int, only: str, by: signal.Signals = signal.SIGKILL) -> None:
    count = 0

    def before(name: str, _args: tuple[Any, ...]) -> None:
        nonlocal count
        if only not in {"", name}:
            return
        with _lock:
            count += 1
            if count == number:
                os.kill(os.getpid(), by)

    def after(name: str, args: tuple[Any, ...]) -> None:
        if name == "commit":  # as much a place to die as before it
            before(name, args)

    _around(before, after)


def _fail_at(number: int, *, from_then_on: bool) -> None:
    count = 0

    def fsync(fd: Any) -> None:
        nonlocal count
        with _lock:
            count += 1
            if count == number or (from_then_on and count > number):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
        _real["fsync"](fd)

    os.fsync = fsync


def _trace_to(path: str) -> None:
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(name: str, **more: Any) -> None:
        _real["write"](log, (json.dumps({"call": name, **more}) + "\n").encode())

    def after(name: str, args: tuple[Any, ...]) -> None:
        if name == "commit":
            with suppress(sqlite3.Error):  # another database
                rows = args[0].execute("SELECT request_hash FROM attempt WHERE charge = 'reserved'").fetchall()
                synchronous = args[0].execute("PRAGMA synchronous").fetchone()[0]
                note("commit", reserved=[row[0] for row in rows], synchronous=synchronous)
        elif isinstance(args[0], int):
            note(name, file=str(Path(f"/proc/self/fd/{args[0]}").readlink()))
        else:
            note(name, file=os.fspath(args[0]))

    _around(_nothing, after)
    from asyncio import selector_events  # noqa: PLC0415

    transport: Any = selector_events._SelectorSocketTransport
    real_write = transport.write

    def write(self: Any, data: Any) -> None:
        if self.get_extra_info("peername"):
            note("send", data=bytes(data).decode("latin-1"))
        real_write(self, data)

    transport.write = write


def _move_clock(path: Path) -> None:
    def moved() -> float:
        with suppress(OSError, ValueError):
            return _time() + float(path.read_text(encoding="ascii"))
        return _time()

    time.time = moved


def _wait_less(share: float) -> None:
    def connect(*args: Any, timeout: float = 5.0, **kwargs: Any) -> sqlite3.Connection:
        return _connect(*args, timeout=timeout * share, **kwargs)

    sqlite3.connect = connect  # type: ignore[assignment]


def put_in() -> None:
    """Have this process meet the fault that its environment names."""
    mode, _, given = os.environ.get("CHAOS_HOOK", "").partition(":")
    name, _, count = given.rpartition("=")
    if mode == "kill":
        _kill_at(int(count), name)
    elif mode == "signal":
        _kill_at(int(count), "", signal.Signals[name])
    elif mode == "fail":
        _fail_at(int(given.rstrip("+")), from_then_on=given.endswith("+"))
    elif mode == "trace":
        _trace_to(given)
    elif mode == "clock":
        _move_clock(Path(given))
    elif mode == "patience":
        _wait_less(float(given))


if __name__ == "sitecustomize":
    put_in()
