"""How much memory this process took at most for a while, by the kernel's own count."""

from __future__ import annotations

import re
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


class Peak:
    """The growth since it was made. Counts nothing where there is no /proc."""

    def __init__(self) -> None:
        self.exact = False
        if _STATUS.exists():
            try:
                _CLEAR.write_text(_RESET_PEAK)
                self.exact = True
            except OSError:
                pass  # not allowed here: the peak of the whole process is then an upper bound only if it was not higher
        self._start = _megabytes("VmRSS")
        self._peak_before = _megabytes("VmHWM")

    def grown(self) -> float:
        """MiB above the start."""
        peak = _megabytes("VmHWM")
        if not self.exact and peak <= self._peak_before:
            peak = _megabytes("VmRSS")
        return peak - self._start


def _megabytes(field: str) -> float:
    if not _STATUS.exists():
        return 0.0
    found = re.search(rf"^{field}:\s+(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0
