"""What a job has delivered, by content."""

from __future__ import annotations

from batchgen.engine.bookkeeper import DeliveredDigests

A, B = "a" * 64, "a" * 15 + "b" * 49


def test_bytes_of_another_task_are_told_and_its_own_are_not() -> None:
    delivered = DeliveredDigests([(A, 1)])
    assert delivered.is_repeated(A, 2)
    assert not delivered.is_repeated(A, 1), "its own, placed again after a kill or bought anew"
    assert not delivered.is_repeated(B, 3)
    assert delivered.is_repeated(B, 4)
