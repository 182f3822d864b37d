"""Seeded worlds: the whole engine on virtual time, with a gateway, a disk and a fate drawn from one number each.

`CHAOS_SEEDS` says how many (40, a quarter of them twice; a soak plays 20,000, a tenth of them twice), `CHAOS_SEED` where
they begin. A seed that fails is kept in `failing_seeds.txt`, and those play first from then on; `python -m
tests.chaos.simulation SEED 1` shows its trace.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.chaos.promises import promise
from tests.chaos.simulation.play import Played, play
from tests.chaos.site import LONG

KEPT = Path(__file__).with_name("failing_seeds.txt")
FIRST = int(os.environ.get("CHAOS_SEED", "1"))
SEEDS = int(os.environ.get("CHAOS_SEEDS", "20000" if LONG else "40"))
SHARD = 500  # of a soak: several processes share the seeds
TWICE_OF = 4 if SEEDS <= SHARD else 10  # of as many seeds, one is played again by another process
MUTANT = "CHAOS_MUTANT" in os.environ  # a build that is broken on purpose: the first violation is enough


def kept() -> list[int]:
    """Seeds that failed once."""
    lines = KEPT.read_text().splitlines() if KEPT.exists() else []
    return [int(line.split()[0]) for line in lines if line.strip() and not line.startswith("#")]


def keep(failed: list[Played]) -> None:
    """Have them play first next time; a build that is broken on purpose has no say in that."""
    if failed and not MUTANT:
        known = set(kept())
        with KEPT.open("a") as file:
            file.writelines(f"{each.seed}\n" for each in failed if each.seed not in known)


def test_seeds_that_failed_once_hold() -> None:
    assert [(seed, wrong) for seed in kept() if (wrong := play(seed).wrong)] == []


@pytest.mark.timeout(60 + 2 * SHARD)
@pytest.mark.parametrize("first", range(FIRST, FIRST + SEEDS, SHARD))
def test_every_seed_holds_and_is_the_same_world_in_another_process(first: int) -> None:
    count = min(SHARD, FIRST + SEEDS - first)
    twice = 0 if MUTANT else -(-count // TWICE_OF)
    command = [sys.executable, "-m", "tests.chaos.simulation", str(first), str(twice)]
    again = {**os.environ, "PYTHONHASHSEED": "12345"}
    notes, failed, ends, seen = [], list[Played](), Counter[str](), Counter[str](seeds=count, twice=twice)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=again) as other:
        try:
            for seed in range(first, first + count):
                played = play(seed)
                notes.append(f"{seed} {played.note}")
                ends += played.ends
                seen.update(calls=played.calls, crashes=played.crashes, hours=int(played.seconds / 3600))
                if played.wrong:
                    failed.append(played)
                    if MUTANT:
                        break
        finally:
            keep(failed)
            if failed:
                other.terminate()
        assert [(each.seed, each.wrong) for each in failed] == []
        output, _ = other.communicate()
    assert [" ".join(line.split()[:2]) for line in output.splitlines()] == notes[:twice]
    print(f"\n{dict(seen)}: {dict(ends)}")
    for number in (1, 2, 3, 4, 5, 6, 7, 9, 12):
        promise(number, "{seeds} simulated seeds ({twice} of them twice), {calls} calls, {crashes} crashes", **seen)
