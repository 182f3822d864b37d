"""A process that has imported the whole program and forks: each child is a `batchgen` that need not import it again.

`tests.support.warm` starts it, with a socket as its argument, and a second one where it is to try the program first. A
request comes with the three streams of the command; the answer is the number of the process that has become it.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import gc
import json
import os
import pkgutil
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from batchgen.domain.clock import SystemClock
from tests.support.hasty import HastyClock

CLOCK = {name: vars(SystemClock)[name] for name in ("now", "monotonic", "sleep")}
LARGEST = 1 << 17  # bytes of a request
JOB = """version: 1
name: job
route: apiyi/gpt-image-2-vip
prompts: [{id: mug, text: a mug}]
sizes: ["1:1@1K"]
"""
TRIED = (
    "check job.yaml",
    *("plan job.yaml --rehearse", "run job.yaml --rehearse --fault pictures=plain", "run job.yaml --rehearse"),
    *("status --rehearse", "report job --rehearse", "verify --rehearse", "show mug --rehearse", "retry job --rehearse"),
)


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
    """Import every module of the program, and what it imports only when a command runs, but for a rare migration."""
    import batchgen  # noqa: PLC0415

    for module in pkgutil.walk_packages(batchgen.__path__, "batchgen."):
        if not module.name.endswith(("__main__", ".migrate")):
            import_module(module.name)


def try_all() -> None:
    """Go through a small job here: statements and patterns are compiled then, and no child need do it again."""
    from batchgen.cli.main import cli  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), _unheard(), _as_it_was():
        Path("job.yaml").write_text(JOB, encoding="utf-8")
        for words in TRIED:
            assert not cli.main(words.split(), standalone_mode=False), words


@contextlib.contextmanager
def _as_it_was() -> Iterator[None]:
    """Let commands change what a fork would inherit, and put it back: environment, limits, cores, signals, collector."""
    environment, files, popen = dict(os.environ), resource.getrlimit(resource.RLIMIT_NOFILE), subprocess.Popen
    cores, collected = os.sched_getaffinity(0), gc.get_threshold()
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    subprocess.Popen = Descendant  # type: ignore[misc]
    try:
        yield
    finally:
        subprocess.Popen = popen  # type: ignore[misc]
        os.environ.clear()
        os.environ.update(environment)
        resource.setrlimit(resource.RLIMIT_NOFILE, files)
        os.sched_setaffinity(0, cores)
        gc.set_threshold(*collected)
        for number, handler in handlers.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)


@contextlib.contextmanager
def _unheard() -> Iterator[None]:
    """While it lasts, what is said to stderr goes where stdout goes, to nobody."""
    stderr = os.dup(2)
    os.dup2(1, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def serve(control: socket.socket) -> Request | None:
    """Fork until nobody asks any more. In a child, what it is to become; None in this process, at the end."""
    assert threading.active_count() == 1, "a fork would lose the other threads"
    gc.freeze()
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


class Descendant(subprocess.Popen[Any]):
    """A child of a warm command: where that is a `batchgen` too, as a simulated gateway is, it starts as warm.

    The threads of the command wait for work while it starts one, so none of them takes a lock along.
    """

    def _execute_child(self, args: Any, executable: object, preexec_fn: object, *rest: Any) -> None:
        command = list(args) if isinstance(args, list | tuple) else []
        if command[:3] != [sys.executable, "-m", "batchgen"]:
            super()._execute_child(args, executable, preexec_fn, *rest)  # type: ignore[misc]
            return
        pipes, new_session = rest[7:13], rest[18]
        self.pid = os.fork()
        if self.pid == 0:
            try:
                _begin_anew((pipes[0], pipes[3], pipes[5]), new_session=new_session)
                become(Request(command[3:], os.getcwd(), dict(os.environ), 1, _umask(), []))  # noqa: PTH109
            except BaseException:  # noqa: BLE001 - nobody is above it: this is a process of its own
                traceback.print_exc()
            finally:
                os._exit(1)
        self._child_created = True
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]


def _begin_anew(streams: tuple[int, int, int], *, new_session: bool) -> None:
    """Leave behind what a process loses when it runs another program: its files, handlers, event loop and last words.

    Its objects stay as they are, so that none closes a file by a number that means another by then.
    """
    gc.freeze()
    atexit._clear()
    for number, stream in enumerate(streams):
        if stream >= 0:
            os.dup2(stream, number)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    if new_session:
        os.setsid()
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    asyncio._set_running_loop(None)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def become(request: Request) -> None:
    """Go on as `python -m batchgen WORDS` would in that folder and environment, on a clock so many times as fast."""
    from batchgen.cli.main import main  # noqa: PLC0415

    hasty = HastyClock(request.pace)
    for name, own in CLOCK.items():
        setattr(SystemClock, name, own if request.pace == 1 else staticmethod(getattr(hasty, name)))
    if not request.first:  # its children have no fault
        subprocess.Popen = Descendant  # type: ignore[misc]

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
    if len(sys.argv) > 2:
        try_all()
    request = serve(socket.socket(fileno=int(sys.argv[1])))
    if request is not None:
        become(request)
