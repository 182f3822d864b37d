"""Becomes a command, after giving up something first: `child.py fsize=300000 powers -- COMMAND…`.

`fsize=N` lets no file grow beyond N bytes, told by an error instead of a signal; `nofile=N` lets it open N files and no
more; `powers` drops what lets the superuser write where permissions forbid it. A process that is the command already
calls `give_up`.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

_SET_SECURE_BITS, _NO_ROOT = 28, 0b11
_CAPABILITIES = 0x20080522  # the version of what `capset` is given


def give_up(what: str) -> None:
    name, _, value = what.partition("=")
    if name == "fsize":
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(value), int(value)))
    elif name == "nofile":
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(value), int(value)))
    elif name == "powers":
        if os.getuid() == 0:
            libc = ctypes.CDLL(None, use_errno=True)
            none = (ctypes.c_uint32 * 6)()
            dropped = libc.prctl(_SET_SECURE_BITS, _NO_ROOT, 0, 0, 0) == 0  # of what is executed from now on
            dropped &= libc.capset((ctypes.c_uint32 * 2)(_CAPABILITIES, 0), none) == 0
            assert dropped, "the superuser's powers cannot be dropped"
    else:
        raise SystemExit(f"give up what? {what}")


if __name__ == "__main__":
    cut = sys.argv.index("--")
    for one in sys.argv[1:cut]:
        give_up(one)
    os.execv(sys.argv[cut + 1], sys.argv[cut + 1 :])
