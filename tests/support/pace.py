"""CPU time told against a reference measured in the same test: machines are slow and noisy, and so alike for both."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

_STEPS = 200_000


def reference() -> float:
    """CPU seconds of a fixed piece of work; some 6 ms on a machine of 2024."""
    began = time.process_time()
    for _ in range(_STEPS):
        pass
    return time.process_time() - began


@contextmanager
def no_longer_than(references: float) -> Iterator[None]:
    """Let the body take as much CPU time as so many pieces of the reference, measured before and after it.

    What shares the machine slows a body to twice and not always the reference with it: set at least five times what
    was seen. It is there for work that grows without bound, not for a slow day.
    """
    before, began = reference(), time.process_time()
    yield
    took = time.process_time() - began
    pace = max(before, reference())
    assert took < references * pace, f"{took:.2f} s, {took / pace:.0f} times the reference, and not {references}"
