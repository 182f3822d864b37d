"""What a job has delivered, by content."""

from __future__ import annotations

from batchgen.engine.delivered import Delivered

A, B = "a" * 64, "a" * 15 + "b" * 49


def test_bytes_of_another_task_are_told_and_its_own_are_not() -> None:
    delivered = Delivered([(A, 1)])
    assert delivered.repeats(A, 2)
    assert not delivered.repeats(A, 1), "its own, placed again after a kill or bought anew"
    assert not delivered.repeats(B, 3)
    assert delivered.repeats(B, 4)
