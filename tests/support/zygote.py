"""A process that has imported the whole program and forks: each child is a `batchgen` that need not import it again.

`tests.support.warm` starts it, with a socket as its only argument. A request comes with the three streams of the
command; the answer is the number of the process that has become it.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import pkgutil
import socket
import sys
import tempfile
import threading
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection

from tests.support.hasty import HastyClock

LARGEST = 1 << 17  # bytes of a request


class Request(NamedTuple):
    """A command and what it finds when it starts.

    Attributes:
        pace: how many times as fast its clock is.
        first: what the process does before all else: modules, functions in them and arguments.
    """

    words: list[str]
    folder: str
    environment: dict[str, str]
    pace: float
    umask: int
    first: list[list[str]]


def preload() -> None:
    """Import every module of the program, and what it imports only when a command runs."""
    import batchgen  # noqa: PLC0415

    for module in pkgutil.walk_packages(batchgen.__path__, "batchgen."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    remember_new_ledger()
    assert threading.active_count() == 1, "a fork would lose the other threads"
    gc.freeze()


def remember_new_ledger() -> None:
    """Run the migrations once; a new ledger is made of what came out of them, which takes half as long as a short run."""
    from batchgen.ledger import connect, migrate  # noqa: PLC0415

    migrated = migrate.to_head
    with tempfile.TemporaryDirectory() as folder, connect.writing_engine(Path(folder, "db"), 5.0).connect() as made:
        migrated(made)
        schema = (
            made.exec_driver_sql("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid").scalars().all()
        )
        (head,) = made.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all()

    def to_head(connection: Connection) -> None:
        if connect.version(connection) is not None:
            connection.rollback()
            migrated(connection)
            return
        for statement in schema:
            connection.exec_driver_sql(statement)
        connection.exec_driver_sql("INSERT INTO alembic_version VALUES (?)", (head,))
        connection.commit()

    migrate.to_head = to_head


def serve(control: socket.socket) -> Request | None:
    """Fork until nobody asks any more. In a child, what it is to become; None in this process, at the end."""
    while True:
        message, streams, _, _ = socket.recv_fds(control, LARGEST, 3)
        if not message:
            return None
        reading, writing = os.pipe()
        between = os.fork()
        if between == 0:
            child = os.fork()
            if child:
                os.write(writing, str(child).encode())
                os._exit(0)
            control.detach()
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
            os.closerange(3, os.sysconf("SC_OPEN_MAX"))
            return Request(*json.loads(message))
        for descriptor in (*streams, writing):
            os.close(descriptor)
        os.waitpid(between, 0)  # from now on the child is the test's own
        control.send(os.read(reading, 32))
        os.close(reading)


def become(request: Request) -> None:
    """Go on as `python -m batchgen WORDS` would in that folder and environment, on a clock so many times as fast."""
    from batchgen.cli.main import main  # noqa: PLC0415
    from batchgen.domain import clock  # noqa: PLC0415

    hasty = HastyClock(request.pace)
    for name in ("now", "monotonic", "sleep") if request.pace != 1 else ():
        setattr(clock.SystemClock, name, staticmethod(getattr(hasty, name)))

    os.umask(request.umask)
    os.chdir(request.folder)
    os.environ.clear()
    os.environ.update(request.environment)
    for module, function, *arguments in request.first:
        getattr(import_module(module), function)(*arguments)
    sys.argv[1:] = request.words
    sys.path[0] = request.folder
    for stream in (sys.stdin, sys.stdout):
        stream.reconfigure(line_buffering=stream.isatty())  # type: ignore[union-attr]
    try:
        main()
    except SystemExit as done:
        end(int(done.code or 0))


def end(code: int) -> None:
    """What the interpreter does at its end, but for taking down what was imported, which is most of the time it takes."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    preload()
    request = serve(socket.socket(fileno=int(sys.argv[1])))
    if request is not None:
        become(request)
