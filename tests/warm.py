"""Processes of the `batchgen` command that are forked from one that has imported it, where the system knows how.

Each is a process of its own, a child of the test, with its own streams, folder and environment; it only saves the half
second of importing. Where that second is the point, or what stands before it (a tracer, a hook, a limit, a signal at any
moment of a process's life), `subprocess.Popen` starts one cold.
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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
_ADOPT = 36  # PR_SET_CHILD_SUBREAPER
_READ_AT_START = ("PYTHON", "LC_", "LANG", "TZ", "LD_")  # what the interpreter or the system heeds only then


class Zygote:
    """The process that forks. One for every process that tests; it ends with it."""

    def __init__(self) -> None:
        self.environment, self.inherited = dict(os.environ), _inherited()
        self._one_at_a_time = threading.Lock()
        self._control, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with far:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.zygote", str(far.fileno())],
                cwd=ROOT,
                pass_fds=[far.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        atexit.register(self.close)

    def fork(
        self, words: list[str], folder: Path, environment: Mapping[str, str], pace: float, streams: list[int]
    ) -> int:
        """The number of a new child of this process, which runs that command."""
        request = json.dumps([words, str(folder), dict(environment), pace, _umask()]).encode()
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
            _zygotes.append(Zygote())
    return _zygotes[0]


class _Forked(subprocess.Popen[Any]):
    """A child as `Popen` has them, made otherwise."""

    def __init__(self, words: list[str], pace: float, **options: Any) -> None:
        self._pace = pace
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
        self.pid = zygote().fork(args, cwd, env, self._pace, streams)
        self._child_created = True
        self._close_pipe_fds(*pipes[:6])


def possible(environment: Mapping[str, str]) -> bool:
    """Whether a process in that environment would be the same warm as cold."""
    if sys.platform != "linux":
        return False
    made = zygote()
    return (_at_start(environment), _inherited()) == (_at_start(made.environment), made.inherited)


def popen(
    words: list[str], folder: Path, environment: Mapping[str, str], pace: float = 1.0, **streams: Any
) -> subprocess.Popen[Any]:
    """`python -m batchgen WORDS`, begun warm.

    Args:
        pace: how many times as fast its clock is; what is timed by the operating system stays as slow as it is.
    """
    return _Forked(words, pace, cwd=folder, env=environment, **streams)


def _inherited() -> tuple[object, ...]:
    """What a child has from its parent and is not told: limits, and the signals that are ignored or held back."""
    import resource  # noqa: PLC0415 - not on Windows

    limits = [resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")]
    ignored = {number for number in signal.valid_signals() if signal.getsignal(number) is signal.SIG_IGN}
    return limits, ignored, signal.pthread_sigmask(signal.SIG_BLOCK, ())


def _at_start(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(_READ_AT_START)}
