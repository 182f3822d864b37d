"""Builds that are broken on purpose, each in one function, and the checks that must notice.

`python -m tests.chaos.mutants` runs them all, a line each, and fails when one survives;
`python -m tests.chaos.mutants NAME -- ARGUMENTS` runs pytest with one of them. The product has no switch for any of it.
"""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
_FAILED = re.compile(r"^(?:FAILED|ERROR) (?:\S+/)*(\S+?)(?:\[.*)?(?: - (.*))?$", re.MULTILINE)
_TESTS_FAILED, _ALL_PASSED = 1, 0


def names() -> list[str]:
    """Every mutant."""
    return sorted(path.stem for path in HERE.glob("*.py") if not path.stem.startswith("_"))


def checks(name: str) -> tuple[str, ...]:
    """What should catch it: files and tests, as pytest takes them."""
    found: tuple[str, ...] = importlib.import_module(f"tests.chaos.mutants.{name}").CHECKS
    return found


def main() -> int:
    """Run one with a command of its own, or all with theirs."""
    if len(sys.argv) > 2 and sys.argv[2] == "--":
        return run_one(sys.argv[1], sys.argv[3:])
    wanted = sys.argv[1:] or names()
    with ThreadPoolExecutor(2) as pool:
        whole = pool.submit(_sound, sorted({check for name in wanted for check in checks(name)}))
        caught = list(pool.map(_try, wanted))
    sound = whole.result()
    print(f"{sum(caught)} of {len(wanted)} broken builds caught; the sound one {'passes' if sound else 'FAILS'}")
    return int(not (sound and all(caught)))


def run_one(name: str, arguments: list[str]) -> int:
    """Break the build, then test it in this very process."""
    importlib.import_module(f"tests.chaos.mutants.{name}").apply()
    import pytest  # noqa: PLC0415 - it imports nothing of the product, but its plugins may

    return int(pytest.main(arguments))


def _try(name: str) -> bool:
    """Whether each of its checks, run alone, notices a mutant; and say so."""
    begun, caught, missed = time.monotonic(), list[str](), list[str]()
    for check in checks(name):
        ended = _pytest("tests.chaos.mutants", name, "--", check, first=_first(name))
        found = _FAILED.search(ended.stdout)
        if ended.returncode == _TESTS_FAILED and found:
            caught.append(found[1])
        elif ended.returncode == _ALL_PASSED:
            missed.append(f"SURVIVED {check}")
        else:
            missed.append(f"COULD NOT RUN {check}: {ended.stdout[-300:]} {ended.stderr[-300:]}")
    said = [f"caught by {each}" for each in caught] + missed
    print(f"{name:<32}{'; '.join(said)} ({time.monotonic() - begun:.0f} s)", flush=True)
    return not missed


def _sound(wanted: list[str]) -> bool:
    """Whether the build that nobody has broken passes every check; else catching means nothing."""
    ended = _pytest("pytest", *wanted)
    if ended.returncode != _ALL_PASSED:
        print(ended.stdout[-3000:])
    return ended.returncode == _ALL_PASSED


def _first(name: str) -> int:
    """The simulated seed to begin with: near one that is known to notice."""
    return int(getattr(importlib.import_module(f"tests.chaos.mutants.{name}"), "FIRST_SEED", 1))


def _pytest(module: str, *words: str, first: int = 1) -> subprocess.CompletedProcess[str]:
    quiet = ("-x", "-q", "-n0", "-p", "no:cacheprovider", "--tb=line", "-W", "ignore")
    environment = {**os.environ, "CHAOS_MUTANT": "1", "CHAOS_SEED": str(first), "CHAOS_SEEDS": "50"}
    command = [sys.executable, "-m", module, *words, *quiet]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=170)


if __name__ == "__main__":
    sys.exit(main())
