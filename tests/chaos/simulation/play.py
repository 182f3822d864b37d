"""One seed, one world, one trace."""

from __future__ import annotations

import random
import tempfile
import traceback
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from batchgen.domain.walls import BUDGET_REACHED
from tests.chaos.simulation.life import Life
from tests.chaos.simulation.loop import Stuck
from tests.chaos.simulation.oracle import after_life, at_the_end
from tests.chaos.simulation.world import Fate, Violation, World

_MOST_LIVES = 60
_CALM_AFTER = 25
_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Played:
    """What became of a seed.

    Attributes:
        note: the trace in 16 digits; the same for the same seed, in every process.
        wrong: what was violated, "" for nothing.
        ends: how the lives ended.
        calls: that reached the gateway.
        seconds: virtual ones.
        crashes: how often the process died.
    """

    seed: int
    note: str
    wrong: str
    ends: Counter[str]
    calls: int
    seconds: float
    crashes: int
    trace: tuple[tuple[object, ...], ...]


def play(seed: int) -> Played:
    """Let a world run until everything in it is settled."""
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        world, ends, wrong = World(seed, Path(folder)), Counter[str](), ""
        try:
            _live_on(world, ends)
        except (Violation, Stuck) as violation:
            wrong = str(violation)
        except Exception:  # noqa: BLE001 - an internal error is one more thing that must never be
            wrong = traceback.format_exc()
        finally:
            world.close()
        bill = len(world.gateway.bill)
        return Played(seed, world.note, wrong, ends, bill, world.elapsed, ends["crashed"], tuple(world.trace))


def _live_on(world: World, ends: Counter[str]) -> None:
    fates = world.dice.randint(1, 10)
    for number in range(_MOST_LIVES):
        world.fate = world.draw_fate() if number < fates else Fate()
        world.gateway.calm = number >= _CALM_AFTER
        fated = world.fate.kind
        end = Life(world).live()
        ends[end if end in {"crashed", "ended", "interrupted", "left at once", BUDGET_REACHED} else "stopped"] += 1
        after_life(world)
        if (
            not fated
            and end in {"ended", BUDGET_REACHED}
            and not world.ask("SELECT 1 FROM task WHERE state = 'running'")
        ):
            at_the_end(world, end)
            return
        _wait(world, world.dice)
    raise Violation(f"it never ends: {ends}")


def _wait(world: World, dice: random.Random) -> None:
    """Time passes until somebody starts it again; the wall clock may be set meanwhile."""
    world.rest(world.elapsed + dice.choice((1.0, 60.0, dice.uniform(0.0, 5_000.0))))
    if dice.random() < 0.15:
        world.ever_jumped = True
        world.jumped += dice.choice((-172_800.0, 172_800.0, 3_600.0))
