"""Processes of the `batchgen` command that are forked from one that has imported it, where the system knows how.

Each is a process of its own, a child of the test, with its own streams, folder and environment; it only saves the half
second of importing. Where that is the point, or what stands before it (a shell, a namespace), `subprocess.Popen` starts
one cold.
"""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_ADOPT = 36  # PR_SET_CHILD_SUBREAPER
_MAY_TRACE = 0x59616D61  # PR_SET_PTRACER
_READ_AT_START = ("PYTHON", "LC_", "LANG", "TZ", "LD_", "SSL_")  # what the interpreter or the system heeds only then


class Zygote:
    """The process that forks. One for every process that tests; it ends with it.

    Attributes:
        heeded: what of its environment was read as it began.
        inherited: what else it has from this process.
    """

    def __init__(self, environment: Mapping[str, str], *more: str) -> None:
        self.heeded, self.inherited = _at_start(environment), _inherited()
        self._one_at_a_time = threading.Lock()
        self._control, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with far:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.zygote", str(far.fileno()), *more],
                cwd=ROOT,
                env=environment,
                pass_fds=[far.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        atexit.register(self.close)

    def fork(
        self,
        words: list[str],
        folder: Path,
        environment: Mapping[str, str],
        pace: float,
        first: Sequence[Sequence[str]],
        streams: list[int],
    ) -> int:
        """The number of a new child of this process, which runs that command."""
        request = json.dumps([words, str(folder), dict(environment), pace, _umask(), first]).encode()
        with self._one_at_a_time, _adopting():
            socket.send_fds(self._control, [request], streams)
            return int(self._control.recv(32))

    def close(self) -> None:
        """Let it end."""
        self._control.close()
        self._process.wait()


def _umask() -> int:
    """That of this process, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


@contextmanager
def _adopting() -> Iterator[None]:
    """While it lasts, a process below this one whose parent ends becomes a child of this one."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl(_ADOPT, 1, 0, 0, 0)
    try:
        yield
    finally:
        prctl(_ADOPT, 0, 0, 0, 0)


_zygotes: list[Zygote] = []
_first = threading.Lock()


def zygote() -> Zygote:
    """The one of this process."""
    with _first:
        if not _zygotes:
            _zygotes.append(Zygote(os.environ, "try"))
    return _zygotes[0]


@contextmanager
def begun_in(environment: Mapping[str, str]) -> Iterator[None]:
    """While it lasts, commands are also forked from a process that began in that environment: of another language."""
    if sys.platform != "linux":
        yield
        return
    zygote()
    _zygotes.append(Zygote(environment))
    try:
        yield
    finally:
        made = _zygotes.pop()
        atexit.unregister(made.close)
        made.close()


def _like(environment: Mapping[str, str]) -> Zygote | None:
    """The process whose children in that environment are the same as if they began in it."""
    zygote()
    wanted = _at_start(environment), _inherited()
    return next((made for made in _zygotes if (made.heeded, made.inherited) == wanted), None)


class _Forked(subprocess.Popen[Any]):
    """A child as `Popen` has them, made otherwise."""

    def __init__(
        self, words: list[str], pace: float, first: Sequence[Sequence[str]], tracer: Sequence[str], **options: Any
    ) -> None:
        self._pace, self._tracer = pace, None if not tracer else _Tracer(tracer)
        self._first = first if not tracer else [*first, _Tracer.WAITS]
        super().__init__(words, **options)

    def _execute_child(
        self,
        args: list[str],
        executable: object,
        preexec_fn: object,
        close_fds: object,
        pass_fds: object,
        cwd: Path,
        env: Mapping[str, str],
        startupinfo: object,
        creationflags: object,
        shell: object,
        *pipes: Any,
    ) -> None:
        p2cread, _, _, c2pwrite, _, errwrite = pipes[:6]
        streams = [given if given >= 0 else own for own, given in enumerate((p2cread, c2pwrite, errwrite))]
        self.pid = (_like(env) or zygote()).fork(args, cwd, env, self._pace, self._first, streams)
        self._child_created = True
        self._close_pipe_fds(*pipes[:6])
        if self._tracer is not None:
            self._tracer.attach(self.pid)

    def _handle_exitstatus(self, *given: Any) -> None:
        super()._handle_exitstatus(*given)  # type: ignore[misc]
        if self._tracer is not None:
            self._tracer.end()


class _Tracer:
    """A `strace` beside a process that waits for it."""

    WAITS = ("tests.support.warm", "wait_for_tracer")

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words
        self._process: subprocess.Popen[bytes] | None = None

    def attach(self, pid: int) -> None:
        os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
        self._process = subprocess.Popen([*self._words, "-p", str(pid)], stdin=subprocess.DEVNULL)
        while "\nTracerPid:\t0\n" in Path(f"/proc/{pid}/status").read_text():
            assert self._process.poll() is None, "the tracer ended"
            time.sleep(0.002)
        os.kill(pid, signal.SIGCONT)

    def end(self) -> None:
        if self._process is not None:
            self._process.wait()


def wait_for_tracer() -> None:
    """Stop until somebody traces this process, who need be neither its parent nor the superuser."""
    ctypes.CDLL(None).prctl(_MAY_TRACE, ctypes.c_ulong(-1), 0, 0, 0)
    os.kill(os.getpid(), signal.SIGSTOP)


def possible(environment: Mapping[str, str]) -> bool:
    """Whether a process in that environment would be the same warm as cold."""
    return sys.platform == "linux" and _like(environment) is not None


def popen(
    words: list[str],
    folder: Path,
    environment: Mapping[str, str],
    pace: float = 1.0,
    first: Sequence[Sequence[str]] = (),
    tracer: Sequence[str] = (),
    **streams: Any,
) -> subprocess.Popen[Any]:
    """`python -m batchgen WORDS`, begun warm.

    Args:
        pace: how many times as fast its clock is; what is timed by the operating system stays as slow as it is.
        first: what the process does before all else: modules, functions in them and arguments.
        tracer: the words of a `strace` that sees all that follows.
    """
    return _Forked(words, pace, first, tracer, cwd=folder, env=environment, **streams)


def _inherited() -> tuple[object, ...]:
    """What a child has from its parent and is not told: limits, cores, and the signals that are ignored or held back."""
    import resource  # noqa: PLC0415 - not on Windows

    limits = [resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")]
    ignored = {number for number in signal.valid_signals() if signal.getsignal(number) is signal.SIG_IGN}
    return limits, os.sched_getaffinity(0), ignored, signal.pthread_sigmask(signal.SIG_BLOCK, ())


def _at_start(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(_READ_AT_START)}
