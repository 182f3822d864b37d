"""A bundle is handed in again without asking whether the gateway has it."""

from __future__ import annotations

from batchgen.gateway.batch.api import BatchApi

CHECKS = ("tests/chaos/test_batch_token.py",)


async def _find(self: BatchApi, token: str, since: float) -> None:
    return None


def apply() -> None:
    """Break the build."""
    BatchApi.find = _find  # type: ignore[method-assign]
